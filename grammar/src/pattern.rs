//! Conversion of patterns in JSON schemas, which are JavaScript regular expressions, to the matcher's syntax.

use std::iter::Peekable;
use std::str::Chars;

use crate::shortest;

/// JavaScript's meanings of `\d`, `\w` and `\s`.
const CLASSES: [(char, &str); 3] = [
    ('d', "0-9"),
    ('w', "0-9A-Za-z_"),
    ('s', r"\t\n\x0b\x0c\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"),
];
/// Largest number of repetitions.
const MOST: u32 = 1000;

/// Expressions that must all match somewhere in a text for `pattern` to match it: one, and one for each look-ahead at its beginning.
///
/// # Errors
/// The syntax that has no equivalent, or the length of texts that are too long for an answer.
pub fn to_rust(pattern: &str) -> Result<Vec<String>, String> {
    let all = expressions(pattern)?;
    all.iter().try_for_each(|expression| shortest::check(expression))?;
    Ok(all)
}

fn expressions(pattern: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    if let Some(mut rest) = pattern.strip_prefix('^') {
        while let Some(inner) = rest.strip_prefix("(?=") {
            let end = end_of_group(inner).ok_or("a group that is not closed")?;
            all.push(format!("^(?:{})", Translation::of(&inner[..end])?));
            rest = &inner[end + 1..];
        }
        if !all.is_empty() {
            // In `^(?=a)b|c`, the look-ahead belongs to the first alternative only.
            if rest.contains('|') {
                return Err("look-ahead beside alternatives cannot be enforced".into());
            }
            all.push(format!("^{}", Translation::of(rest)?));
            return Ok(all);
        }
    }
    all.push(Translation::of(pattern)?);
    Ok(all)
}

/// Offset of the end of the group that was opened before `text`.
fn end_of_group(text: &str) -> Option<usize> {
    let (mut depth, mut in_class, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class && depth == 0 => return Some(at),
            ')' if !in_class => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Meaning of an escape.
enum Escape {
    Char(char),
    /// A class of characters; negated if `true`.
    Class(String, bool),
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, String> {
        let mut this = Self { rest: pattern.chars().peekable(), out: String::new() };
        while let Some(c) = this.rest.next() {
            this.one(c)?;
        }
        Ok(this.out)
    }

    fn one(&mut self, c: char) -> Result<(), String> {
        match c {
            '.' => self.out += r"[^\n\r\x{2028}\x{2029}]",
            '[' => self.class()?,
            '(' => self.group()?,
            '{' => self.braces()?,
            '\\' => match self.escape()? {
                Escape::Char(c) => self.literal(c),
                Escape::Class(ranges, negated) => self.out += &format!("[{}{ranges}]", if negated { "^" } else { "" }),
            },
            '^' | '$' | '|' | ')' | '*' | '+' | '?' => self.out.push(c),
            _ => self.literal(c),
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        if c.is_alphanumeric() || c == ' ' {
            self.out.push(c);
        } else {
            self.out += &code(c);
        }
    }

    fn group(&mut self) -> Result<(), String> {
        if self.rest.peek() != Some(&'?') {
            self.out.push('(');
            return Ok(());
        }
        self.rest.next();
        match (self.rest.next(), self.rest.peek()) {
            (Some(':'), _) => self.out += "(?:",
            (Some('<'), Some(c)) if !['=', '!'].contains(c) => {
                // The name of a group has no effect.
                self.rest.by_ref().take_while(|&c| c != '>').for_each(drop);
                self.out.push('(');
            }
            (Some('=' | '!' | '<'), _) => {
                return Err("look-around cannot be enforced, but for look-ahead at the beginning".into());
            }
            _ => return Err("an unknown kind of group".into()),
        }
        Ok(())
    }

    /// A repetition count, or a literal brace.
    fn braces(&mut self) -> Result<(), String> {
        let inside: String = self.rest.clone().take_while(|&c| c != '}').take(24).collect();
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            self.literal('{');
            return Ok(());
        }
        for number in [least, most].into_iter().filter(|number| !number.is_empty()) {
            if !number.parse::<u32>().is_ok_and(|number| number <= MOST) {
                return Err(format!("{number} repetitions are more than the {MOST} allowed"));
            }
        }
        self.out += &format!("{{{inside}}}");
        self.rest.by_ref().take_while(|&c| c != '}').for_each(drop);
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut items = String::new();
        loop {
            let from = match self.rest.next().ok_or("a class that is not closed")? {
                ']' => break,
                '\\' => match self.escape_in_class()? {
                    Escape::Char(c) => c,
                    Escape::Class(ranges, negated) => {
                        items += &if negated { format!("[^{ranges}]") } else { ranges };
                        continue;
                    }
                },
                c => c,
            };
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
                self.rest.next();
                let to = match self.rest.next() {
                    Some('\\') => self.escape_in_class()?,
                    Some(c) => Escape::Char(c),
                    None => return Err("a class that is not closed".into()),
                };
                match to {
                    Escape::Char(to) if from <= to => items += &format!("{}-{}", code(from), code(to)),
                    Escape::Char(_) => return Err("a range out of order".into()),
                    Escape::Class(..) => return Err("a range that ends in a class".into()),
                }
            } else {
                items += &code(from);
            }
        }
        self.out += &match (items.is_empty(), negated) {
            (true, true) => r"[\x{0}-\x{10ffff}]".into(),
            (true, false) => return Err("a class without characters".into()),
            (false, _) => format!("[{}{items}]", if negated { "^" } else { "" }),
        };
        Ok(())
    }

    fn escape_in_class(&mut self) -> Result<Escape, String> {
        if self.rest.next_if_eq(&'b').is_some() { Ok(Escape::Char('\u{8}')) } else { self.escape() }
    }

    /// The rest of an escape after its backslash.
    fn escape(&mut self) -> Result<Escape, String> {
        let c = self.rest.next().ok_or("a backslash at the end")?;
        let lower = c.to_ascii_lowercase();
        if let Some((_, ranges)) = CLASSES.iter().find(|(name, _)| *name == lower) {
            return Ok(Escape::Class((*ranges).into(), c != lower));
        }
        Ok(Escape::Char(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'f' => '\u{c}',
            '0' => '\0',
            'b' | 'B' => return Err("word boundaries cannot be enforced".into()),
            '1'..='9' | 'k' => return Err("references to groups cannot be enforced".into()),
            'p' | 'P' => return Err("classes of Unicode properties are not supported".into()),
            'c' => char::from(self.rest.next().unwrap_or('@') as u8 % 32),
            'x' => self.code_point(2)?,
            'u' => self.code_point(4)?,
            other => other,
        }))
    }

    /// A character by its number, with this many digits or in braces.
    fn code_point(&mut self, digits: usize) -> Result<char, String> {
        let unit = |this: &mut Self| {
            let text: String = if this.rest.next_if_eq(&'{').is_some() {
                this.rest.by_ref().take_while(|&c| c != '}').collect()
            } else {
                this.rest.by_ref().take(digits).collect()
            };
            u32::from_str_radix(&text, 16).map_err(|_| format!("{text:?} is no number of a character"))
        };
        let mut number = unit(self)?;
        if (0xd800..0xdc00).contains(&number) {
            if (self.rest.next(), self.rest.next()) != (Some('\\'), Some('u')) {
                return Err("half a surrogate pair".into());
            }
            let low = unit(self)?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or("half a surrogate pair")?;
            number = 0x10000 + ((number - 0xd800) << 10) + low;
        }
        char::from_u32(number).ok_or_else(|| format!("{number:x} is no character"))
    }
}

/// A character, escaped where needed.
fn code(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}
