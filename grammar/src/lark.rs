//! Limits of Lark grammars, checked before llguidance reads one: its parser and compiler recurse into templates, conditions, chains of rules
//! and chains of references without a limit, and an overflow of the stack ends the process.

use serde_json::{Deserializer, Value};

use crate::error::{GrammarError, Result};

/// Largest nesting depth of brackets.
const MAX_NESTING: usize = 64;
/// Largest number of definitions in a client's grammar, which bounds chains of them.
pub(crate) const MAX_DEFINITIONS: usize = 500;
/// Largest number of definitions in a grammar of tools, whose rules form no chains.
pub(crate) const MAX_TOOL_DEFINITIONS: usize = 20_000;
/// Levels allowed on average for each definition: itself and its nested brackets.
const LEVELS: usize = 4;
/// Largest product of the nesting depth of a schema in `%json` and its number of references.
const MAX_SCHEMA_LEVELS: usize = 2000;
/// Statements followed by JSON.
const WITH_JSON: [&str; 3] = ["%json", "%llguidance", "%regex"];

/// Checks a grammar with at most `definitions` rules and terminals.
///
/// # Errors
/// [`GrammarError::InvalidGrammar`] for what might overflow a stack.
pub(crate) fn check(text: &str, definitions: usize) -> Result<()> {
    let mut scan = Scan { text, at: 0, open: Vec::new(), definitions: 0, levels: 0, deepest: 0 };
    while scan.at < text.len() {
        scan.token()?;
        if scan.definitions > definitions {
            return scan.refuse(format!("more than {definitions} definitions"));
        }
        if scan.levels > LEVELS * definitions {
            return scan.refuse(format!("more than {} nested brackets in all definitions", LEVELS * definitions));
        }
    }
    Ok(())
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Brackets that are not closed.
    open: Vec<u8>,
    definitions: usize,
    /// Sum of the levels of all definitions.
    levels: usize,
    /// Most brackets within each other since the last definition began.
    deepest: usize,
}

impl Scan<'_> {
    fn refuse<T>(&self, reason: impl std::fmt::Display) -> Result<T> {
        let line = 1 + self.text.as_bytes()[..self.at].iter().filter(|byte| **byte == b'\n').count();
        Err(GrammarError::invalid(format!("line {line}: {reason}")))
    }

    fn token(&mut self) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest {
            [b'#', ..] | [b'/', b'/', ..] => {
                self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            }
            [quote @ (b'"' | b'/'), ..] => return self.quoted(*quote),
            [b'<', ..] => {
                // A special token, whose name may contain brackets.
                let end = rest[1..].iter().position(|byte| b"<>".contains(byte) || byte.is_ascii_whitespace());
                self.at += end.filter(|end| rest[end + 1] == b'>').map_or(1, |end| end + 2);
            }
            [b'%', ..] => return self.statement(),
            [bracket @ (b'(' | b'[' | b'{'), ..] => {
                if *bracket == b'{' && !is_repetition(&rest[1..]) {
                    return self.refuse("templates and parameters of rules are not supported");
                }
                return self.opened(*bracket);
            }
            [b')' | b']' | b'}', ..] => {
                self.open.pop();
                self.at += 1;
            }
            [b':', b':', ..] => self.at += 2,
            [b':', ..] => {
                // In conditions, `[0:8]` is a range of bits.
                if self.open.last() != Some(&b'[') {
                    self.definitions += 1;
                    self.levels += 1 + self.deepest;
                    self.deepest = self.open.len();
                }
                self.at += 1;
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    fn opened(&mut self, bracket: u8) -> Result<()> {
        self.open.push(bracket);
        self.deepest = self.deepest.max(self.open.len());
        self.at += 1;
        if self.open.len() > MAX_NESTING {
            return self.refuse(format!("more than {MAX_NESTING} brackets within each other"));
        }
        Ok(())
    }

    /// Skips a string or a regular expression.
    fn quoted(&mut self, quote: u8) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            match *byte {
                byte if byte == quote => {
                    self.at += at + 2;
                    return Ok(());
                }
                b'\n' if quote == b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.refuse("a string or regular expression is not closed")
    }

    /// Skips a statement's name, and JSON after it.
    fn statement(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        if let Some(after) = rest.strip_prefix("%lark") {
            let brace = after.trim_start_matches([' ', '\t']);
            self.at += rest.len() - brace.len();
            return if brace.starts_with('{') { self.opened(b'{') } else { Ok(()) };
        }
        let Some(name) = WITH_JSON.into_iter().find(|name| rest.starts_with(name)) else {
            self.at += 1;
            return Ok(());
        };
        let mut values = Deserializer::from_str(&rest[name.len()..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let (depth, references) = size(&value);
                if depth * references > MAX_SCHEMA_LEVELS {
                    return self.refuse("too many references in a nested schema");
                }
                self.at += name.len() + values.byte_offset();
                Ok(())
            }
            Some(Err(error)) => self.refuse(format!("{name}: {error}")),
            None => self.refuse(format!("{name}: no JSON")),
        }
    }
}

/// Returns true if a brace followed by this text is a repetition such as `{2}`, `{2,}` or `{,3}`.
fn is_repetition(after: &[u8]) -> bool {
    let first = after.iter().find(|byte| !b" \t".contains(byte));
    first.is_some_and(|byte| byte.is_ascii_digit() || b",+-".contains(byte))
}

/// The nesting depth of a value, which the parser bounds, and the number of references in it.
fn size(value: &Value) -> (usize, usize) {
    let inside = |all: &mut dyn Iterator<Item = &Value>| {
        all.map(size).fold((0, 0), |(depth, references), inner| (depth.max(inner.0), references + inner.1))
    };
    let (depth, references) = match value {
        Value::Array(list) => inside(&mut list.iter()),
        Value::Object(map) => inside(&mut map.values()),
        _ => (0, 0),
    };
    (depth + 1, references + usize::from(value.get("$ref").is_some()))
}
