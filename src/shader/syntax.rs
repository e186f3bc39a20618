//! Parser of the preprocessor directives in WGSL files. Standard library only, because `build.rs` compiles this file too, to check every
//! shader.
//!
//! ```wgsl
//! //: use gemv $CHOICE      includes gemv.wgsl and the file that the kernel chooses
//! //: use gemv as PREFIX    includes gemv.wgsl and renames each of its names to PREFIX_name
//! //: const ROWS NORM=0     declares WGSL constants: the kernel sets ROWS, this file sets NORM
//! //: const PIECES?=0       the same for PIECES, which is 0 unless the kernel sets it
//! //: each r ROWS c 4       repeats the lines up to `end`, for each r below ROWS and each c below 4
//! //: when NORM             keeps the lines up to `end` or `else` if NORM is not 0; `unless NORM`: if it is 0
//! //: else
//! //: end
//! var sum$r = 0.0; //: each r ROWS     after a line or another directive, `each`, `when` and `unless` apply to this line only
//! ```
//! Directives are executed in order: a file can use the constants of the files that it has included before, and included files can use
//! the constants declared before the `use`. In all other lines, and in a PREFIX, `$r` is replaced by the number of a repetition and `$ROWS` by the
//! value of a constant. `@binding(next)` is the previous binding plus one.

/// Start of a directive.
const DIRECTIVE: &str = "//: ";

/// A fault in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line number, counted from 1.
    pub line: usize,
    /// Description of the fault.
    pub reason: String,
}

/// Lines of WGSL and directives.
pub type Block<'a> = Vec<Node<'a>>;

/// A line of WGSL or a directive.
#[derive(Debug)]
pub struct Node<'a> {
    /// Line number, counted from 1.
    pub line: usize,
    /// Kind of the line.
    pub kind: Kind<'a>,
}

/// Kinds of lines.
#[derive(Debug)]
pub enum Kind<'a> {
    /// WGSL.
    Text(&'a str),
    /// Includes another file, or with `$` the file of a choice; `prefix` is put before its names.
    Use { file: &'a str, prefix: Option<&'a str> },
    /// A constant, with its number if the file gives one, which may be only a default.
    Const { name: &'a str, number: Option<usize>, is_default: bool },
    /// A repetition for each `letter` below `count`.
    Each { letter: &'a str, count: &'a str, body: Block<'a> },
    /// `set` if the constant is not 0, else `unset`.
    When { name: &'a str, set: Block<'a>, unset: Block<'a> },
}

/// Parses a file.
///
/// # Errors
/// An unknown directive, an unclosed block, an undeclared name, a file that does not exist.
pub fn parse<'a>(text: &'a str, is_file: &dyn Fn(&str) -> bool) -> Result<Block<'a>, Fault> {
    let mut parser = Parser { lines: text.lines(), line: 0, known: Vec::new(), is_file };
    match parser.block()? {
        (nodes, "") => Ok(nodes),
        (_, word) => Err(Fault { line: parser.line, reason: format!("`{word}` closes nothing") }),
    }
}

struct Parser<'a, 'b> {
    lines: std::str::Lines<'a>,
    /// Number of the line that was read last.
    line: usize,
    /// Constants that have been declared, and letters of the enclosing repetitions.
    known: Vec<&'a str>,
    is_file: &'b dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a, '_> {
    /// Nodes up to an `end` or `else`, and the directive that ended them; `""` at the end of the file.
    fn block(&mut self) -> Result<(Block<'a>, &'a str), Fault> {
        let mut nodes = Vec::new();
        while let Some(text) = self.lines.next() {
            self.line += 1;
            match text.trim_start().strip_prefix(DIRECTIVE) {
                Some(word @ ("end" | "else")) => return Ok((nodes, word)),
                _ => nodes.extend(self.nodes(text)?),
            }
        }
        Ok((nodes, ""))
    }

    /// Nodes of a line, with the lines of the block that it opens.
    fn nodes(&mut self, text: &'a str) -> Result<Block<'a>, Fault> {
        let line = self.line;
        let Some((before, directive)) = text.rsplit_once(DIRECTIVE) else {
            self.check_names(text)?;
            return Ok(vec![Node { line, kind: Kind::Text(text) }]);
        };
        let before = before.trim_end();
        let words: Vec<&str> = directive.split_whitespace().collect();
        match words[..] {
            ["each", ref counters @ ..] if !counters.is_empty() && counters.len().is_multiple_of(2) => {
                self.each(counters, before, directive)
            }
            [word @ ("when" | "unless"), name] => {
                self.check(name, name)?;
                let (first, second) = self.body(before, directive)?;
                let second = second.unwrap_or_default();
                let (set, unset) = if word == "when" { (first, second) } else { (second, first) };
                Ok(vec![Node { line, kind: Kind::When { name, set, unset } }])
            }
            ["use", file, "as", prefix] if before.is_empty() => {
                self.check_names(prefix)?;
                Ok(vec![self.used(file, Some(prefix))?])
            }
            ["use", ref files @ ..] if before.is_empty() => files.iter().map(|file| self.used(file, None)).collect(),
            ["const", ref names @ ..] if before.is_empty() => names.iter().map(|name| self.constant(name)).collect(),
            _ => Err(Fault { line, reason: format!("unknown directive `{directive}`") }),
        }
    }

    /// A repetition for each pair of letter and count, the first one outermost.
    fn each(&mut self, counters: &[&'a str], before: &'a str, directive: &str) -> Result<Block<'a>, Fault> {
        let (line, outside) = (self.line, self.known.len());
        for pair in counters.chunks_exact(2) {
            self.check(pair[1], pair[1])?;
            self.known.push(pair[0]);
        }
        let (mut body, None) = self.body(before, directive)? else {
            return Err(Fault { line, reason: format!("`{directive}` is never closed") });
        };
        self.known.truncate(outside);
        for pair in counters.chunks_exact(2).rev() {
            body = vec![Node { line, kind: Kind::Each { letter: pair[0], count: pair[1], body } }];
        }
        Ok(body)
    }

    /// The lines that a directive applies to: the text before it on its line, or the lines up to its end; and the lines after its `else`.
    fn body(&mut self, before: &'a str, directive: &str) -> Result<(Block<'a>, Option<Block<'a>>), Fault> {
        if !before.is_empty() {
            return Ok((self.nodes(before)?, None));
        }
        let line = self.line;
        let (first, closed) = self.block()?;
        let (second, closed) = if closed == "else" { self.block().map(|(b, c)| (Some(b), c))? } else { (None, closed) };
        if closed == "end" {
            return Ok((first, second));
        }
        Err(Fault { line, reason: format!("`{directive}` is never closed") })
    }

    fn used(&self, file: &'a str, prefix: Option<&'a str>) -> Result<Node<'a>, Fault> {
        if file.starts_with('$') || (self.is_file)(file) {
            return Ok(Node { line: self.line, kind: Kind::Use { file, prefix } });
        }
        Err(Fault { line: self.line, reason: format!("there is no file {file}.wgsl") })
    }

    fn constant(&mut self, word: &'a str) -> Result<Node<'a>, Fault> {
        let fault = |reason: String| Fault { line: self.line, reason };
        let (name, number) = word.split_once('=').map_or((word, None), |(name, number)| (name, Some(number)));
        let (name, is_default) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(fault(format!("`{word}` is no constant")));
        }
        let number = number.map(|number| number.parse().map_err(|_| fault(format!("`{number}` is no number"))));
        self.known.push(name);
        Ok(Node { line: self.line, kind: Kind::Const { name, number: number.transpose()?, is_default } })
    }

    fn check_names(&self, text: &str) -> Result<(), Fault> {
        filled(text, |name| self.check(name, &format!("${name}")).map(|()| 0)).map(drop)
    }

    /// Checks that a name is a number, a constant or a repetition.
    fn check(&self, name: &str, shown: &str) -> Result<(), Fault> {
        if name.parse::<usize>().is_ok() || self.known.contains(&name) {
            return Ok(());
        }
        Err(Fault { line: self.line, reason: format!("nothing in this file declares `{shown}`") })
    }
}

/// A line with the names after each `$` replaced by their numbers: one small letter, or capitals and digits.
pub fn filled<E>(line: &str, number: impl Fn(&str) -> Result<usize, E>) -> Result<String, E> {
    let mut parts = line.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let len = match part.chars().next() {
            Some('A'..='Z') => {
                part.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit()).unwrap_or(part.len())
            }
            first => first.map_or(0, char::len_utf8),
        };
        let (name, rest) = part.split_at(len);
        out += &number(name)?.to_string();
        out += rest;
    }
    Ok(out)
}
