//! Key files in PEM (RFC 7468), and remedies for those that are not supported.

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Family},
    material::{PrivateKeyMaterial, PublicKeyMaterial, Secret},
    pkcs::{self, KeyFileError},
};
use crate::error::ConfigError;

/// The private key of a file, and the public one if the file contains it.
pub(crate) fn private_key(
    pem: &[u8],
    algorithm: Algorithm,
) -> Result<(PrivateKeyMaterial, Option<PublicKeyMaterial>), ConfigError> {
    expect_asymmetric(algorithm)?;
    let (label, file) = section(pem)?;
    match (label, algorithm.family()) {
        (Label::Pkcs8, _) => pkcs::private_key(&file, algorithm),
        (Label::RsaPrivate, Family::Rsa) => pkcs::rsa_private_key(&file).map(|key| (key, None)),
        (Label::RsaPrivate, _) => Err(KeyFileError::OtherKind),
        (Label::Spki | Label::RsaPublic, _) => {
            return Err(refuse("a public key", "it cannot sign: use VerifyingKey::from_pem"));
        }
    }
    .map_err(|error| unreadable(error, algorithm))
}

/// The public key of a file.
pub(crate) fn public_key(
    pem: &[u8],
    algorithm: Algorithm,
) -> Result<PublicKeyMaterial, ConfigError> {
    expect_asymmetric(algorithm)?;
    let (label, file) = section(pem)?;
    match (label, algorithm.family()) {
        (Label::Spki, _) => pkcs::public_key(&file, algorithm),
        (Label::RsaPublic, Family::Rsa) => pkcs::rsa_public_key(&file),
        (Label::RsaPublic, _) => Err(KeyFileError::OtherKind),
        (Label::Pkcs8 | Label::RsaPrivate, _) => {
            return Err(refuse(
                "a private key",
                "a verifier needs only the public key: openssl pkey -in key.pem -pubout",
            ));
        }
    }
    .map_err(|error| unreadable(error, algorithm))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Pkcs8,
    RsaPrivate,
    Spki,
    RsaPublic,
}

/// The only key of the file. Labels are never repeated in an error: a file without line breaks is
/// one label that contains the private key.
fn section(pem: &[u8]) -> Result<(Label, Secret), ConfigError> {
    let lines = || pem.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii_end);
    let mut labels = lines()
        .filter_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))
        .filter(|label| *label != b"EC PARAMETERS");
    let label = match (labels.next(), labels.next()) {
        (Some(label), None) => label,
        (None, _) => {
            return Err(refuse(
                "no PEM section",
                "a section starts with `-----BEGIN PRIVATE KEY-----` or `-----BEGIN PUBLIC KEY-----` \
                 on a line of its own, without indent",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(refuse("several PEM sections", "keep one key"));
        }
    };
    let encrypted = lines().any(|line| line.starts_with(b"Proc-Type: 4,ENCRYPTED"));
    let label = match label {
        b"ENCRYPTED PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY"
            if encrypted || label.starts_with(b"ENCRYPTED") =>
        {
            return Err(refuse(
                "an encrypted private key",
                "decrypt it when deploying it: openssl pkey -in key.pem -out plain.pem",
            ));
        }
        b"PRIVATE KEY" => Label::Pkcs8,
        b"RSA PRIVATE KEY" => Label::RsaPrivate,
        b"PUBLIC KEY" => Label::Spki,
        b"RSA PUBLIC KEY" => Label::RsaPublic,
        b"EC PRIVATE KEY" => {
            return Err(refuse(
                "an EC private key in SEC 1 form",
                "convert it: openssl pkcs8 -topk8 -nocrypt -in key.pem -out pkcs8.pem",
            ));
        }
        b"CERTIFICATE" | b"X509 CERTIFICATE" | b"TRUSTED CERTIFICATE" => {
            return Err(refuse(
                "a certificate",
                "extract the key: openssl x509 -in certificate.pem -noout -pubkey",
            ));
        }
        _ => return Err(refuse("another PEM section", "use PRIVATE KEY or PUBLIC KEY")),
    };
    let file = decode(pem, label)
        .ok_or_else(|| refuse("a damaged PEM section", "compare it with the original file"))?;
    Ok((label, file))
}

fn decode(pem: &[u8], label: Label) -> Option<Secret> {
    if label == Label::RsaPublic {
        // The reader does not know this label, but accepts the same bytes under another one.
        let pem = String::from_utf8_lossy(pem).replace("RSA PUBLIC KEY-", "PUBLIC KEY-");
        return decode(pem.as_bytes(), Label::Spki);
    }
    let wanted = match label {
        Label::Pkcs8 => SectionKind::PrivateKey,
        Label::RsaPrivate => SectionKind::RsaPrivateKey,
        Label::Spki | Label::RsaPublic => SectionKind::PublicKey,
    };
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .map(|(kind, file)| (kind, Zeroizing::new(file)))
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, file)| file)
}

fn expect_asymmetric(algorithm: Algorithm) -> Result<(), ConfigError> {
    if algorithm.is_symmetric() {
        return Err(ConfigError::one(
            "algorithm",
            algorithm.name(),
            "an HMAC secret is not a PEM file: use hs256, hs384 or hs512",
        ));
    }
    Ok(())
}

fn unreadable(error: KeyFileError, algorithm: Algorithm) -> ConfigError {
    match error {
        KeyFileError::Malformed => refuse(
            "a damaged or unusual file",
            "write it again: openssl pkey -in key.pem -out new.pem (with -pubin -pubout for a \
             public key)",
        ),
        KeyFileError::OtherKind => refuse(
            "a key of another kind",
            format!("{algorithm} does not use it: set the algorithm of the key"),
        ),
        KeyFileError::Compressed => refuse(
            "a compressed EC point",
            "write it again: openssl ec -conv_form uncompressed (with -pubin -pubout for a public \
             key)",
        ),
    }
}

fn refuse(value: &'static str, remedy: impl Into<String>) -> ConfigError {
    ConfigError::one("pem", value, remedy)
}
