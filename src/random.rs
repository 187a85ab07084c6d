//! Randomness as a value: [`RandomSource`], and the operating system's.

use std::fmt;

/// A source of unguessable bytes, for the ids of sessions, flows and tokens.
///
/// ```
/// use tower_auth_session::{engine::RandomSource, error::RandomError};
///
/// /// A hardware source, which may be unplugged.
/// #[derive(Debug)]
/// struct Device;
///
/// impl RandomSource for Device {
///     fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
///         read_device(bytes).map_err(|_| RandomError::new())
///     }
/// }
/// # fn read_device(_: &mut [u8]) -> std::io::Result<()> { Ok(()) }
/// ```
pub trait RandomSource: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// When the source fails. There is no weaker source to fall back to: the sign-in fails
    /// (ASVS 11.5.1).
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The random source failed.
///
/// ```
/// use tower_auth_session::error::{RandomError, SignInError};
///
/// /// Whether a sign-in failed for a reason that the operator must repair.
/// fn is_outage(error: &SignInError) -> bool {
///     matches!(error, SignInError::Random)
/// }
/// assert_eq!(RandomError::new().to_string(), "the random source failed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random source failed")]
pub struct RandomError(());

impl RandomError {
    /// For sources other than the operating system.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Default for RandomError {
    fn default() -> Self {
        Self::new()
    }
}

/// The cryptographic random source of the operating system.
///
/// ```
/// use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey, engine::OsRandom};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
/// // The default: only tests set another source.
/// let engine = SessionEngine::<()>::builder(keys).random(OsRandom::default()).build()?;
/// # let _ = engine;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct OsRandom;

impl RandomSource for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads randomness")]
        getrandom::fill(bytes).map_err(|_| RandomError::new())
    }
}

/// A source that repeats itself from its seed, for tests. Never for a service: its ids can be
/// guessed.
///
/// ```
/// use tower_auth_session::{SessionId, testing::SeededRandom};
///
/// let first = SessionId::generate(&SeededRandom::new(7));
/// let again = SessionId::generate(&SeededRandom::new(7));
/// assert_eq!(first, again);
/// ```
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug)]
pub struct SeededRandom(std::sync::atomic::AtomicU64);

#[cfg(any(test, feature = "test-util"))]
impl SeededRandom {
    /// A source whose bytes follow from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(seed))
    }
}

#[cfg(any(test, feature = "test-util"))]
impl RandomSource for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        // SplitMix64: well distributed, and any seed will do.
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9E37_79B9_7F4A_7C15_u64;
            let mut z =
                self.0.fetch_add(step, std::sync::atomic::Ordering::Relaxed).wrapping_add(step);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
