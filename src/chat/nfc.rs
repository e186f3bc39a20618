//! Unicode's composed form of a text, which some tokenizers ask for.
//!
//! Browsers have it: their own saves the tables, 40 kB of a compressed wasm module. Unicode promises that the form of a text
//! never changes once its characters are assigned, so both are the same.

/// A text in NFC; an error says why not.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn nfc(text: &str) -> Result<String, String> {
    use tokenizers::normalizers::unicode::NFC;
    use tokenizers::{NormalizedString, Normalizer};

    let mut normalized = NormalizedString::from(text);
    NFC.normalize(&mut normalized).map_err(|error| error.to_string())?;
    Ok(normalized.get().to_owned())
}

/// A text in NFC; there is always one.
#[cfg(target_arch = "wasm32")]
pub(super) fn nfc(text: &str) -> Result<String, String> {
    Ok(js_sys::JsString::from(text).normalize("NFC").into())
}
