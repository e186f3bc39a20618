//! Translation of tokenizer patterns to JavaScript's syntax with the flag `v`.
//!
//! The two differ in the meaning of `\s`, `\d`, `\w` and `.`, in property names, and in possessive repetitions. JavaScript lacks those; a
//! captured lookahead followed by a back reference has the same effect. Unsupported syntax is refused, never guessed.

/// Largest nesting depth of groups.
const MAX_DEPTH: usize = 32;

/// Translates a pattern for `new RegExp(pattern, "v")`, or returns the unsupported syntax.
///
/// A repetition within a repetition is refused too, because JavaScript does not limit the time of a match.
pub fn translate(pattern: &str) -> Result<String, String> {
    let mut translator =
        Translator { rest: pattern.chars().collect(), at: 0, out: String::new(), atomics: 0, depth: 0 };
    translator.alternation(false)?;
    match translator.next() {
        Some(_) => Err("a ) without its (".into()),
        None => Ok(translator.out),
    }
}

struct Translator {
    rest: Vec<char>,
    at: usize,
    out: String,
    /// Number of named groups for atomic groups so far.
    atomics: usize,
    depth: usize,
}

/// An element of a class.
enum Item {
    Char(char),
    Set(String),
}

impl Translator {
    fn next(&mut self) -> Option<char> {
        let next = self.peek(0);
        self.at += usize::from(next.is_some());
        next
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c));
        self.at += if is_next { text.chars().count() } else { 0 };
        is_next
    }

    /// Reads alternatives up to the end of a group. `fold` ignores case. Returns true if any part repeats without bound.
    fn alternation(&mut self, mut fold: bool) -> Result<bool, String> {
        let mut repeats = false;
        while let Some(c) = self.peek(0).filter(|&c| c != ')') {
            self.at += 1;
            let start = self.out.len();
            let mut inside = false;
            match c {
                '|' | '^' | '$' => {
                    self.out.push(c);
                    continue;
                }
                '(' if self.take("?i)") => {
                    fold = true;
                    continue;
                }
                '(' => inside = self.group(fold)?,
                '.' => self.out.push_str(r"[^\n]"),
                '[' => {
                    let class = self.class(fold)?;
                    self.out.push_str(&class);
                }
                '\\' if self.take("A") => self.out.push('^'),
                '\\' if self.take("z") => self.out.push('$'),
                '\\' => match self.escape(fold)? {
                    Item::Char(c) => self.literal(c, fold)?,
                    Item::Set(set) => self.out.push_str(&set),
                },
                '*' | '+' | '?' | '{' => return Err(format!("{c} with nothing to repeat")),
                _ => self.literal(c, fold)?,
            }
            repeats |= self.repetition(start, inside)? || inside;
        }
        Ok(repeats)
    }

    fn group(&mut self, fold: bool) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too many groups within groups".into());
        }
        let start = self.out.len();
        let (open, fold, is_atomic) = match () {
            () if self.take("?:") => ("(?:", fold, false),
            () if self.take("?i:") => ("(?:", true, false),
            () if self.take("?-i:") => ("(?:", false, false),
            () if self.take("?>") => ("", fold, true),
            () if self.take("?=") => ("(?=", fold, false),
            () if self.take("?!") => ("(?!", fold, false),
            () if self.take("?<=") => ("(?<=", fold, false),
            () if self.take("?<!") => ("(?<!", fold, false),
            () if self.peek(0) == Some('?') => return Err("a group of this kind".into()),
            () => ("(?:", fold, false),
        };
        self.out.push_str(open);
        let repeats = self.alternation(fold)?;
        if self.next() != Some(')') {
            return Err("a ( without its )".into());
        }
        if is_atomic {
            self.enter_once(start);
        } else {
            self.out.push(')');
        }
        self.depth -= 1;
        Ok(repeats)
    }

    /// Makes the output from `start` an atomic group, which keeps its first match.
    fn enter_once(&mut self, start: usize) {
        let inner = self.out.split_off(start);
        self.out.push_str(&format!(r"(?:(?=(?<a{0}>{inner}))\k<a{0}>)", self.atomics));
        self.atomics += 1;
    }

    /// Reads a repetition of the output from `start`. `inside` is true if that contains an unbounded repetition. Returns true if it repeats
    /// without bound.
    fn repetition(&mut self, start: usize, inside: bool) -> Result<bool, String> {
        let Some(c) = self.peek(0).filter(|c| "*+?{".contains(*c)) else { return Ok(false) };
        self.at += 1;
        let mut times = String::from(c);
        if c == '{' {
            while let Some(c) = self.peek(0).filter(|c| c.is_ascii_digit() || *c == ',') {
                times.push(c);
                self.at += 1;
            }
            let numbers: Vec<&str> = times[1..].split(',').collect();
            if numbers.len() > 2 || numbers[0].is_empty() || self.next() != Some('}') {
                return Err("a { that counts nothing".into());
            }
            times.push('}');
        }
        let is_unbounded = matches!(c, '*' | '+') || times.ends_with(",}");
        if is_unbounded && inside {
            return Err("a repetition within a repetition".into());
        }
        self.out.push_str(&times);
        if self.take("?") {
            self.out.push('?');
        } else if self.take("+") {
            self.enter_once(start);
        }
        Ok(is_unbounded)
    }

    fn literal(&mut self, c: char, fold: bool) -> Result<(), String> {
        let either = if fold { either_case(c)? } else { spelled(c) };
        let class = if fold && c.is_ascii_alphabetic() { format!("[{either}]") } else { either };
        self.out.push_str(&class);
        Ok(())
    }

    /// Reads an escape after its backslash.
    fn escape(&mut self, fold: bool) -> Result<Item, String> {
        const WORD: &str = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}";
        let c = self.next().ok_or("a \\ at the end")?;
        Ok(match c {
            'n' => Item::Char('\n'),
            'r' => Item::Char('\r'),
            't' => Item::Char('\t'),
            'f' => Item::Char('\x0c'),
            'v' => Item::Char('\x0b'),
            's' => Item::Set(r"\p{White_Space}".into()),
            'S' => Item::Set(r"\P{White_Space}".into()),
            'd' => Item::Set(r"\p{Nd}".into()),
            'D' => Item::Set(r"\P{Nd}".into()),
            'w' => Item::Set(format!("[{WORD}]")),
            'W' => Item::Set(format!("[^{WORD}]")),
            'p' | 'P' => Item::Set(self.property(c == 'P', fold)?),
            'x' | 'u' | 'U' => Item::Char(self.code_point(c)?),
            c if c.is_ascii_punctuation() || c == ' ' => Item::Char(c),
            c => return Err(format!("\\{c}")),
        })
    }

    /// `L`, `{L}`, `{^L}`, `{Han}`, `{Script=Han}`.
    fn property(&mut self, is_negated: bool, fold: bool) -> Result<String, String> {
        let mut name = String::new();
        match self.next() {
            Some('{') => loop {
                match self.next() {
                    Some('}') => break,
                    Some(c) if c.is_ascii_alphanumeric() || "_^=".contains(c) => name.push(c),
                    _ => return Err("the name of a property".into()),
                }
            },
            Some(c) if c.is_ascii_alphabetic() => name.push(c),
            _ => return Err("\\p without a name".into()),
        }
        let (is_negated, name) = match name.strip_prefix('^') {
            Some(name) => (!is_negated, name),
            None => (is_negated, name.as_str()),
        };
        if fold && name.len() > 1 {
            return Err(format!("\\p{{{name}}} in either case"));
        }
        // In other syntaxes a script may be named without `Script=`.
        let is_script = name.len() > 2 && !name.contains('=') && !CATEGORIES.contains(&name);
        let kind = if is_script { "Script=" } else { "" };
        Ok(format!("\\{}{{{kind}{name}}}", if is_negated { 'P' } else { 'p' }))
    }

    /// `x41`, `x{1F600}`, `u0041`, `U0001F600`.
    fn code_point(&mut self, kind: char) -> Result<char, String> {
        let mut digits = String::new();
        if self.take("{") {
            while let Some(c) = self.next().filter(|&c| c != '}') {
                digits.push(c);
            }
        } else {
            let count = match kind {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            digits.extend((0..count).map_while(|_| self.next()));
        }
        let number = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        number.ok_or_else(|| format!("the character \\{kind}{digits}"))
    }

    /// Reads a class after its `[`.
    fn class(&mut self, fold: bool) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too many classes within classes".into());
        }
        let not = if self.take("^") { "^" } else { "" };
        // Operands of `&&`.
        let mut operands = vec![String::new()];
        let mut is_first = true;
        loop {
            let item = match self.next().ok_or("a [ without its ]")? {
                ']' if !is_first => break,
                '[' if self.peek(0) == Some(':') => return Err("[: in a class".into()),
                '[' => Item::Set(self.class(fold)?),
                '&' if self.take("&") => {
                    operands.push(String::new());
                    continue;
                }
                c @ ('-' | '~') if self.peek(0) == Some(c) => return Err(format!("{c}{c} in a class")),
                '\\' => self.escape(fold)?,
                c => Item::Char(c),
            };
            is_first = false;
            let element = match item {
                Item::Set(set) => set,
                Item::Char(from) if self.peek(0) == Some('-') && self.peek(1) != Some(']') => {
                    self.at += 1;
                    self.range(from, fold)?
                }
                Item::Char(c) if fold => either_case(c)?,
                Item::Char(c) => spelled(c),
            };
            operands.last_mut().into_iter().for_each(|operand| operand.push_str(&element));
        }
        self.depth -= 1;
        Ok(match operands.as_slice() {
            [one] => format!("[{not}{one}]"),
            several => format!("[{not}[{}]]", several.join("]&&[")),
        })
    }

    /// Reads the end of a range after `from` and the hyphen.
    fn range(&mut self, from: char, fold: bool) -> Result<String, String> {
        let to = match self.next().ok_or("a range without its end")? {
            '\\' => self.escape(fold)?,
            '-' => return Err("-- in a class".into()),
            '[' => return Err("a range up to a class".into()),
            c => Item::Char(c),
        };
        match to {
            Item::Char(to) if from > to => Err(format!("the range from {from:?} to {to:?}")),
            Item::Char(to) if fold && (from..=to).any(char::is_alphabetic) => Err("a range in either case".into()),
            Item::Char(to) => Ok(format!("{}-{}", spelled(from), spelled(to))),
            Item::Set(_) => Err("a range up to a class".into()),
        }
    }
}

/// General categories and other properties with names of more than two letters; other such names are scripts.
const CATEGORIES: [&str; 19] = [
    "Alphabetic",
    "Any",
    "ASCII",
    "Assigned",
    "Letter",
    "Lowercase",
    "Lowercase_Letter",
    "Mark",
    "Number",
    "Other",
    "Punctuation",
    "Separator",
    "Symbol",
    "Titlecase_Letter",
    "Uppercase",
    "Uppercase_Letter",
    "White_Space",
    "Emoji",
    "Ideographic",
];

/// A character, escaped for use in patterns and classes.
fn spelled(c: char) -> String {
    if c.is_ascii() && !c.is_ascii_alphanumeric() { format!("\\u{{{:x}}}", u32::from(c)) } else { c.into() }
}

/// A character and its case variants, for a class.
fn either_case(c: char) -> Result<String, String> {
    Ok(match c {
        's' | 'S' => "sSſ".into(),
        'k' | 'K' => "kK\u{212a}".into(),
        c if c.is_ascii_alphabetic() => format!("{}{}", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        c if c.is_alphabetic() => return Err(format!("{c:?} in either case")),
        c => spelled(c),
    })
}
