//! Required formats of answers, and the pattern of a tokenizer.

use std::sync::OnceLock;

use ocelli::chat::pattern::javascript;
use ocelli::grammar::native::NativeGrammars;
use ocelli::grammar::{Format, Grammar};
use ocelli::{Error, Result};

use super::chat::good_tokenizer;

/// Tokens that an answer gets.
const TOKENS: usize = 8;

/// A JSON schema.
///
/// # Errors
/// Errors of [`NativeGrammars::grammar`].
pub fn schema(bytes: &[u8]) -> Result<()> {
    constrain(bytes, Format::JsonSchema)
}

/// A regular expression.
///
/// # Errors
/// Errors of [`NativeGrammars::grammar`].
pub fn regex(bytes: &[u8]) -> Result<()> {
    constrain(bytes, Format::Regex)
}

/// A Lark grammar.
///
/// # Errors
/// Errors of [`NativeGrammars::grammar`].
pub fn lark(bytes: &[u8]) -> Result<()> {
    constrain(bytes, Format::Lark)
}

/// Compiles a format and begins an answer with the first token that is allowed at each place.
fn constrain(bytes: &[u8], format: fn(String) -> Format) -> Result<()> {
    static GRAMMARS: OnceLock<NativeGrammars> = OnceLock::new();
    let tokenizer = good_tokenizer();
    let grammars = GRAMMARS.get_or_init(|| NativeGrammars::new(tokenizer, &[2]).expect("a vocabulary"));
    let text = str::from_utf8(bytes).map_err(|_| Error::request("format", "is not UTF-8"))?;
    let format = format(text.into());
    let is_lark = matches!(format, Format::Lark(_));
    let mut constraint = grammars.grammar(&format)?.start()?;
    let mut mask = vec![0; tokenizer.vocab_size().div_ceil(32)]; // [vocab / 32]
    for _ in 0..TOKENS {
        if constraint.is_finished()? {
            break;
        }
        constraint.mask(&mut mask)?;
        let allowed = |token: &u32| mask[*token as usize / 32] >> (token % 32) & 1 == 1;
        let Some(token) = (0..tokenizer.vocab_size() as u32).find(allowed) else { break };
        if constraint.commit(&[token])? == 0 {
            // The mask of llguidance 1.9.1 may allow a token that its parser then refuses: `lark:7763`.
            assert!(is_lark, "token {token} was allowed");
            return Err(Error::InvalidGrammar { reason: format!("token {token} was allowed and then refused") });
        }
    }
    Ok(())
}

/// A pattern of a tokenizer, translated for JavaScript.
///
/// # Errors
/// `tokenizer` with the syntax that is not supported.
pub fn pattern(bytes: &[u8]) -> Result<()> {
    let text = str::from_utf8(bytes).map_err(|_| Error::Tokenizer { reason: "is not UTF-8".into() })?;
    let translated = javascript::translate(text).map_err(|reason| Error::Tokenizer { reason })?;
    // Brackets of the pattern are escaped, so those that are left are syntax.
    let count = |of: char| translated.matches(of).count() - translated.matches(&format!("\\{of}")).count();
    assert_eq!(count('('), count(')'), "{translated}");
    Ok(())
}
