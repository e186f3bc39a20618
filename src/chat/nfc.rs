//! Unicode's composed normal form (NFC), which some tokenizers need.
//!
//! Browsers provide it, which saves 40 kB of tables in a compressed wasm module. Unicode guarantees that the normal form of assigned characters
//! never changes, so both implementations agree.

/// Returns a text in NFC, or the reason why it cannot be converted.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn nfc(text: &str) -> Result<String, String> {
    use tokenizers::normalizers::unicode::NFC;
    use tokenizers::{NormalizedString, Normalizer};

    let mut normalized = NormalizedString::from(text);
    NFC.normalize(&mut normalized).map_err(|error| error.to_string())?;
    Ok(normalized.get().to_owned())
}

/// Returns a text in NFC; never fails.
#[cfg(target_arch = "wasm32")]
pub(super) fn nfc(text: &str) -> Result<String, String> {
    Ok(js_sys::JsString::from(text).normalize("NFC").into())
}
