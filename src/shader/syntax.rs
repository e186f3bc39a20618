//! The orders in our WGSL files. Standard library only: `build.rs` compiles this file as well, to check every shader.
//!
//! ```wgsl
//! //: use NAME              the file NAME.wgsl belongs to this one; `use $CHOICE`: the file that the kernel chooses
//! //: use NAME as PREFIX    the same under names of its own, PREFIX_name
//! //: const NAME            a number from the kernel, declared here as a WGSL constant; text behind the name is a comment
//! //: const NAME = 2        a number that this file gives, outside of all blocks
//! //: each r ROWS c 4       the lines up to its end, for each r below ROWS and each c below 4
//! //: when NORM             the lines up to its end, or its else, if NORM is not 0; `unless NORM`: if it is 0
//! //: else
//! //: end
//! ```
//! In every other line, and in a PREFIX, `$r` is the number of a repetition, `$ROWS` the value of a constant, and `$NEXT` one more than the
//! binding before it.

/// What starts a line that is an order.
const ORDER: &str = "//: ";

/// The constant that counts bindings.
pub const NEXT: &str = "NEXT";

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// A file as a tree.
pub type Block<'a> = Vec<Node<'a>>;

/// A line of WGSL or an order.
#[derive(Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Counted from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What a [`Node`] is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// WGSL.
    Text(&'a str),
    /// Another file, or with `$` in front a choice; and the prefix of its names.
    Use {
        /// A file's name, or `$` and the name of a choice.
        file: &'a str,
        /// What its names begin with, if not as they are.
        prefix: Option<&'a str>,
    },
    /// A constant, with its value if the file gives one.
    Const {
        /// In capitals.
        name: &'a str,
        /// `None`: the kernel gives it.
        value: Option<usize>,
    },
    /// A repetition.
    Each {
        /// A letter and a count, from the outermost on.
        counters: Vec<(&'a str, &'a str)>,
        /// What is repeated.
        body: Block<'a>,
    },
    /// A choice between two blocks.
    When {
        /// The constant that decides.
        name: &'a str,
        /// Taken if it is not 0.
        set: Block<'a>,
        /// Taken if it is 0.
        unset: Block<'a>,
    },
}

/// Reads a file.
///
/// # Errors
/// An order that does not exist, or a block that is never closed.
pub fn parse(text: &str) -> Result<Block<'_>, Fault> {
    let mut lines = (1..).zip(text.lines());
    match block(&mut lines)? {
        (nodes, None) => Ok(nodes),
        (_, Some((line, word))) => Err(Fault { line, reason: format!("`{word}` closes nothing") }),
    }
}

/// The nodes up to an `end`, an `else` or the end of the file, and where and which.
type Closed<'a> = (Block<'a>, Option<(usize, &'a str)>);

fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<Closed<'a>, Fault> {
    let mut nodes = Vec::new();
    while let Some((line, text)) = lines.next() {
        let fault = |reason: String| Fault { line, reason };
        let Some(order) = text.trim_start().strip_prefix(ORDER) else {
            nodes.push(Node { line, kind: Kind::Text(text) });
            continue;
        };
        let words: Vec<&str> = order.split_whitespace().collect();
        let kind = match words[..] {
            ["use", file] => Kind::Use { file, prefix: None },
            ["use", file, "as", prefix] => Kind::Use { file, prefix: Some(prefix) },
            ["const", name, "=", value] => {
                let value = value.parse().map_err(|_| fault(format!("`{value}` is no number")))?;
                Kind::Const { name, value: Some(value) }
            }
            ["const", name, ..] => Kind::Const { name, value: None },
            ["each", ref counters @ ..] if !counters.is_empty() && counters.len().is_multiple_of(2) => {
                let counters = counters.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                match block(lines)? {
                    (body, Some((_, "end"))) => Kind::Each { counters, body },
                    _ => return Err(fault(format!("`{order}` is never closed"))),
                }
            }
            [word @ ("when" | "unless"), name] => {
                let (first, closed) = block(lines)?;
                let (second, closed) = if let Some((_, "else")) = closed { block(lines)? } else { (vec![], closed) };
                if !matches!(closed, Some((_, "end"))) {
                    return Err(fault(format!("`{order}` is never closed")));
                }
                let (set, unset) = if word == "when" { (first, second) } else { (second, first) };
                Kind::When { name, set, unset }
            }
            [word @ ("end" | "else")] => return Ok((nodes, Some((line, word)))),
            _ => return Err(fault(format!("`{order}` is no order"))),
        };
        nodes.push(Node { line, kind });
    }
    Ok((nodes, None))
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What `$` is in front of: one small letter, or capitals and digits.
    Name(&'a str),
}

/// The pieces of a line.
pub fn pieces(line: &str) -> impl Iterator<Item = Piece<'_>> {
    line.split('$').enumerate().flat_map(|(index, piece)| {
        let is_capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let len = match piece.chars().next() {
            _ if index == 0 => 0,
            Some(first) if first.is_ascii_uppercase() => piece.find(|c| !is_capital(c)).unwrap_or(piece.len()),
            Some(first) => first.len_utf8(),
            None => 0,
        };
        let (name, text) = piece.split_at(len);
        let name = (index > 0).then_some(Piece::Name(name));
        name.into_iter().chain([Piece::Text(text)])
    })
}

/// Checks a file by itself: every name is a repetition's or declared in it, every file that it names is one of `files`.
///
/// # Errors
/// The first that is not.
pub fn check(nodes: &Block<'_>, files: &[&str]) -> Result<(), Fault> {
    let mut declared = vec![NEXT];
    declare(nodes, &mut declared);
    check_block(nodes, &mut declared, files)
}

fn declare<'a>(nodes: &Block<'a>, declared: &mut Vec<&'a str>) {
    for node in nodes {
        match &node.kind {
            Kind::Const { name, .. } => declared.push(name),
            Kind::When { set, unset, .. } => [set, unset].into_iter().for_each(|block| declare(block, declared)),
            Kind::Each { body, .. } => declare(body, declared),
            Kind::Text(_) | Kind::Use { .. } => {}
        }
    }
}

fn check_block<'a>(nodes: &Block<'a>, known: &mut Vec<&'a str>, files: &[&str]) -> Result<(), Fault> {
    for Node { line, kind } in nodes {
        let fault = |reason: String| Err(Fault { line: *line, reason });
        let unknown = |name: &str| name.parse::<usize>().is_err() && !known.contains(&name);
        let unknown_in = |text: &'a str| {
            pieces(text).find_map(|piece| match piece {
                Piece::Name(name) if unknown(name) => Some(name),
                _ => None,
            })
        };
        match kind {
            Kind::Text(text) => {
                if let Some(name) = unknown_in(text) {
                    return fault(format!("nothing in this file declares `${name}`"));
                }
            }
            Kind::Use { file, prefix } => {
                if !file.starts_with('$') && !files.contains(file) {
                    return fault(format!("there is no file {file}.wgsl"));
                }
                if let Some(name) = prefix.and_then(unknown_in) {
                    return fault(format!("nothing in this file declares `${name}`"));
                }
            }
            Kind::Const { .. } => {}
            Kind::Each { counters, body } => {
                if let Some((_, count)) = counters.iter().find(|(_, count)| unknown(count)) {
                    return fault(format!("nothing in this file declares `{count}`"));
                }
                let before = known.len();
                known.extend(counters.iter().map(|(letter, _)| letter));
                check_block(body, known, files)?;
                known.truncate(before);
            }
            Kind::When { name, set, unset } => {
                if unknown(name) {
                    return fault(format!("nothing in this file declares `{name}`"));
                }
                check_block(set, known, files)?;
                check_block(unset, known, files)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, String) {
        let found = parse(text).and_then(|nodes| check(&nodes, &["half"])).expect_err("a fault");
        (found.line, found.reason)
    }

    #[test]
    fn what_is_misspelt_or_left_open_is_told_with_its_line() {
        let of = |line: usize, reason: &str| (line, reason.to_owned());
        assert_eq!(fault("\n//: wehn NORM\n//: end\n"), of(2, "`wehn NORM` is no order"));
        assert_eq!(fault("//: each r\n//: end\n"), of(1, "`each r` is no order"));
        assert_eq!(fault("//: const NORM = one\n"), of(1, "`one` is no number"));
        assert_eq!(fault("\n\n//: each r 4\nlet a$r = 1;\n"), of(3, "`each r 4` is never closed"));
        assert_eq!(fault("//: each r 4\n//: else\n//: end\n"), of(1, "`each r 4` is never closed"));
        assert_eq!(fault("//: end\n"), of(1, "`end` closes nothing"));
        assert_eq!(fault("//: use halve\n"), of(1, "there is no file halve.wgsl"));
        assert_eq!(fault("//: const ROWS\nlet a = $ROSW;\n"), of(2, "nothing in this file declares `$ROSW`"));
        assert_eq!(fault("//: when NORM\n//: end\n"), of(1, "nothing in this file declares `NORM`"));
        assert_eq!(fault("//: each r ROWS\n//: end\n"), of(1, "nothing in this file declares `ROWS`"));
        assert_eq!(fault("//: each r 2\n//: end\nlet a$r = 1;\n"), of(3, "nothing in this file declares `$r`"));
    }

    #[test]
    fn lines_come_apart_at_names() {
        let found: Vec<_> = pieces("let a$r_$c = x[$ru + $ROWS];").collect();
        let [a, c, x, u, end] = ["let a", "_", " = x[", "u + ", "];"].map(Piece::Text);
        let [r, c_name, rows] = ["r", "c", "ROWS"].map(Piece::Name);
        assert_eq!(found, [a, r, c, c_name, x, Piece::Name("r"), u, rows, end]);
    }
}
