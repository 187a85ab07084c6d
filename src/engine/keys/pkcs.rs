//! Key files in DER: PKCS#8 (RFC 5958), SubjectPublicKeyInfo (RFC 5280 §4.1), PKCS#1 (RFC 8017
//! §A.1) and SEC 1 within PKCS#8 (RFC 5915).

use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Curve, Family},
    material::{PrivateKeyMaterial, PublicKeyMaterial, RsaPrivate, Secret},
};
use crate::engine::encoding::der::{self, DerReader, NULL, OBJECT_ID, OCTET_STRING, SEQUENCE};

const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Context tags of PKCS#8 and SEC 1.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const IMPLICIT_1: u8 = 0x81;

/// Why a key file was rejected, without any of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFileError {
    /// It is not DER of this structure.
    Malformed,
    /// It holds a key of a kind that the algorithm does not use.
    OtherKind,
    /// It holds a compressed point.
    Compressed,
}

type PkcsResult<T> = Result<T, KeyFileError>;

/// The private key of a PKCS#8 file, and the public one if the file contains it.
pub(crate) fn private_key(
    file: &[u8],
    algorithm: Algorithm,
) -> PkcsResult<(PrivateKeyMaterial, Option<PublicKeyMaterial>)> {
    let (private, attached) = pkcs8(file, algorithm)?;
    match algorithm.family() {
        Family::Ed25519 => {
            let mut reader = DerReader::new(private);
            let seed = field(reader.read(OCTET_STRING))?;
            field(reader.end())?;
            let public = attached.map(|point| PublicKeyMaterial::Ed25519(point.to_vec()));
            Ok((PrivateKeyMaterial::Ed25519(secret(seed)), public))
        }
        Family::Ec(curve) => ec_private_key(private, curve),
        Family::Rsa => Ok((rsa_private_key(private)?, None)),
        Family::Hmac { .. } => Err(KeyFileError::OtherKind),
    }
}

/// The content of `privateKey` in a PKCS#8 file, and its optional `publicKey`.
fn pkcs8(file: &[u8], algorithm: Algorithm) -> PkcsResult<(&[u8], Option<&[u8]>)> {
    let mut outer = DerReader::new(file);
    let mut key = field(outer.enter(SEQUENCE))?;
    field(outer.end())?;
    if !matches!(field(key.unsigned())?, [] | [1]) {
        return Err(KeyFileError::Malformed);
    }
    identifier(&mut key, algorithm)?;
    let private = field(key.read(OCTET_STRING))?;
    let _attributes = key.read(CONTEXT_0);
    let attached = match key.read(IMPLICIT_1) {
        Some(bits) => Some(field(bits.strip_prefix(&[0]))?),
        None => None,
    };
    field(key.end())?;
    Ok((private, attached))
}

/// The public key of a SubjectPublicKeyInfo file.
pub(crate) fn public_key(file: &[u8], algorithm: Algorithm) -> PkcsResult<PublicKeyMaterial> {
    let mut outer = DerReader::new(file);
    let mut key = field(outer.enter(SEQUENCE))?;
    field(outer.end())?;
    identifier(&mut key, algorithm)?;
    let bits = field(key.bits())?;
    field(key.end())?;
    match algorithm.family() {
        Family::Ed25519 => Ok(PublicKeyMaterial::Ed25519(bits.to_vec())),
        Family::Ec(_) => point(bits),
        Family::Rsa => rsa_public_key(bits),
        Family::Hmac { .. } => Err(KeyFileError::OtherKind),
    }
}

/// The private key of a PKCS#1 file with two primes.
pub(crate) fn rsa_private_key(file: &[u8]) -> PkcsResult<PrivateKeyMaterial> {
    let mut outer = DerReader::new(file);
    let mut key = field(outer.enter(SEQUENCE))?;
    field(outer.end())?;
    if !field(key.unsigned())?.is_empty() {
        return Err(KeyFileError::Malformed);
    }
    let mut number = || field(key.unsigned());
    let (n, e) = (number()?.to_vec(), number()?.to_vec());
    let mut next = || number().map(secret);
    let rest = [next()?, next()?, next()?, next()?, next()?, next()?];
    field(key.end())?;
    Ok(PrivateKeyMaterial::Rsa(RsaPrivate { n, e, rest }))
}

/// The public key of a PKCS#1 file.
pub(crate) fn rsa_public_key(file: &[u8]) -> PkcsResult<PublicKeyMaterial> {
    let mut outer = DerReader::new(file);
    let mut key = field(outer.enter(SEQUENCE))?;
    field(outer.end())?;
    let (n, e) = (field(key.unsigned())?.to_vec(), field(key.unsigned())?.to_vec());
    field(key.end())?;
    Ok(PublicKeyMaterial::Rsa { n, e })
}

/// The encoding that the back ends take: PKCS#8 for Ed25519 and EC, PKCS#1 for RSA, the bytes
/// themselves for HMAC. Both back ends get the same bytes, whatever file was loaded.
pub(crate) fn encode(key: &PrivateKeyMaterial, algorithm: Algorithm) -> Secret {
    let (identifier, private) = match (key, algorithm.family()) {
        (PrivateKeyMaterial::Ed25519(seed), _) => (
            der::value(SEQUENCE, &[&der::value(OBJECT_ID, &[ED25519])]),
            der::value(OCTET_STRING, &[seed]),
        ),
        (PrivateKeyMaterial::Ec(scalar), Family::Ec(curve)) => (
            der::value(
                SEQUENCE,
                &[&der::value(OBJECT_ID, &[EC]), &der::value(OBJECT_ID, &[curve_id(curve)])],
            ),
            der::value(SEQUENCE, &[&der::unsigned(&[1]), &der::value(OCTET_STRING, &[scalar])]),
        ),
        (PrivateKeyMaterial::Rsa(key), _) => {
            let [d, p, q, dp, dq, qi] = key.rest.each_ref().map(|number| der::unsigned(number));
            let (version, n, e) =
                (der::unsigned(&[]), der::unsigned(&key.n), der::unsigned(&key.e));
            return der::value(SEQUENCE, &[&version, &n, &e, &d, &p, &q, &dp, &dq, &qi]);
        }
        (PrivateKeyMaterial::Hmac(bytes) | PrivateKeyMaterial::Ec(bytes), _) => {
            return bytes.clone();
        }
    };
    der::value(
        SEQUENCE,
        &[&der::unsigned(&[]), &identifier, &der::value(OCTET_STRING, &[&private])],
    )
}

fn ec_private_key(
    file: &[u8],
    curve: Curve,
) -> PkcsResult<(PrivateKeyMaterial, Option<PublicKeyMaterial>)> {
    let mut outer = DerReader::new(file);
    let mut key = field(outer.enter(SEQUENCE))?;
    field(outer.end())?;
    if field(key.unsigned())? != [1] {
        return Err(KeyFileError::Malformed);
    }
    let scalar = secret(field(key.read(OCTET_STRING))?);
    if let Some(parameters) = key.read(CONTEXT_0)
        && DerReader::new(parameters).read(OBJECT_ID) != Some(curve_id(curve))
    {
        return Err(KeyFileError::OtherKind);
    }
    let public = match key.read(CONTEXT_1) {
        Some(bits) => Some(point(field(DerReader::new(bits).bits())?)?),
        None => None,
    };
    field(key.end())?;
    Ok((PrivateKeyMaterial::Ec(scalar), public))
}

/// Reads an `AlgorithmIdentifier`, which must match `algorithm`.
fn identifier(key: &mut DerReader<'_>, algorithm: Algorithm) -> PkcsResult<()> {
    let mut reader = field(key.enter(SEQUENCE))?;
    let (kind, parameters) = match algorithm.family() {
        Family::Ed25519 => (ED25519, None),
        Family::Ec(curve) => (EC, Some((OBJECT_ID, curve_id(curve)))),
        Family::Rsa => (RSA, Some((NULL, &[][..]))),
        Family::Hmac { .. } => return Err(KeyFileError::OtherKind),
    };
    if field(reader.read(OBJECT_ID))? != kind {
        return Err(KeyFileError::OtherKind);
    }
    if let Some((tag, content)) = parameters
        && reader.read(tag) != Some(content)
    {
        return Err(KeyFileError::OtherKind);
    }
    field(reader.end())
}

fn point(bytes: &[u8]) -> PkcsResult<PublicKeyMaterial> {
    match bytes.first() {
        Some(4) => Ok(PublicKeyMaterial::Ec(bytes.to_vec())),
        Some(2 | 3) => Err(KeyFileError::Compressed),
        _ => Err(KeyFileError::Malformed),
    }
}

const fn curve_id(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => P256,
        Curve::P384 => P384,
    }
}

fn field<T>(value: Option<T>) -> PkcsResult<T> {
    value.ok_or(KeyFileError::Malformed)
}

fn secret(bytes: &[u8]) -> Secret {
    Zeroizing::new(bytes.to_vec())
}
