//! Secrets, tokens and claims appear in no `Debug` output, error or log line (ASVS 16.2.5).

mod debug_output;
mod log_output;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Texts that must not appear in an output, in any encoding.
#[derive(Default, Clone)]
struct Needles(Vec<String>);

impl Needles {
    /// Bytes of a key: as text, in hex, in base64 at any offset of a longer text, and as a list of numbers.
    fn secret(mut self, bytes: &[u8]) -> Self {
        if let Ok(text) = str::from_utf8(bytes) {
            self.0.push(text.to_owned());
            self.0.push(text.escape_debug().to_string());
        }
        self.0.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        self.0.push(bytes.iter().map(|byte| format!("{byte:02X}")).collect());
        let list = format!("{bytes:?}");
        self.0.push(list.trim_matches(['[', ']']).to_owned());
        self.0.push(bytes.iter().map(|byte| format!("{byte:#x}, ")).collect());
        for skip in 0..3 {
            // Complete groups only, so that the following bytes do not matter.
            let part = &bytes[skip..];
            let part = &part[..part.len() / 3 * 3];
            self.0.push(STANDARD_NO_PAD.encode(part));
            self.0.push(URL_SAFE_NO_PAD.encode(part));
        }
        self
    }

    /// A token: each of its parts, and the halves of each part.
    fn token(mut self, token: &str) -> Self {
        // Shorter parts would match by chance.
        for part in token.split('.').filter(|part| part.len() >= 8) {
            self.0.push(part.to_owned());
            self.0.push(part[part.len() / 2..].to_owned());
            self.0.push(part[..part.len() / 2].to_owned());
        }
        self
    }

    /// These texts and the parts of a token.
    fn and(&self, token: &str) -> Self {
        self.clone().token(token)
    }

    fn text(mut self, text: &str) -> Self {
        self.0.push(text.to_owned());
        self
    }

    #[track_caller]
    fn assert_absent(&self, name: &str, shown: &str) {
        // Pretty-printed lists have one number per line.
        let flat: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for needle in &self.0 {
            assert!(needle.len() > 3, "{needle:?} is too short");
            assert!(
                !shown.contains(needle) && !flat.contains(needle),
                "{name} shows {needle:?}: {shown}"
            );
        }
    }
}

#[test]
fn needles_are_found_in_every_encoding() {
    let secret = b"0123456789abcdefghij";
    let needles = Needles::default().secret(secret).token("aaaaaaaa.bbbbbbbb.cccc_cccc");
    for shown in [
        "x 0123456789abcdefghij".to_owned(),
        format!("{secret:?}"),
        format!("{secret:#?}"),
        secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        URL_SAFE_NO_PAD.encode([b"12", &secret[..]].concat()),
        "cccc...".to_owned(),
    ] {
        assert!(
            std::panic::catch_unwind(|| needles.assert_absent("output", &shown)).is_err(),
            "{shown}"
        );
    }
}
