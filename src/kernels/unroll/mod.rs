//! Repeats lines of WGSL as often as a kernel's constants say, so that what should stay in registers needs no arrays and no loops:
//! drivers keep neither there reliably.
//!
//! ```wgsl
//! //: each r ROWS        the lines up to its end, for each r from 0 to ROWS - 1; in them $r is the number
//! //: when NORM          the lines up to its end, if NORM is not 0
//! //: unless NORM        the lines up to its end, if NORM is 0
//! //: end
//! ```
//! `$NAME` is the value of a constant anywhere.

use std::borrow::Cow;
use std::fmt::Write;

/// What starts a line that is an order.
const ORDER: &str = "//: ";

/// The constants of a kernel, by name: capital letters.
pub(super) type Constants<'a> = [(&'a str, usize)];

/// The constants as WGSL.
pub(super) fn declared(constants: &Constants<'_>) -> Cow<'static, str> {
    constants
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "const {name}: u32 = {value}u;");
            text
        })
        .into()
}

/// `text` with its orders carried out.
pub(super) fn unrolled(text: &str, constants: &Constants<'_>) -> Cow<'static, str> {
    let mut out = String::new();
    let lines: Vec<&str> = text.lines().collect();
    unroll(&lines, constants, &mut Vec::new(), &mut out);
    out.into()
}

/// A name that orders use, and its value: a constant, or the number of a repetition.
type Numbers<'a> = Vec<(&'a str, usize)>;

fn unroll<'a>(lines: &[&'a str], constants: &Constants<'_>, repeated: &mut Numbers<'a>, out: &mut String) {
    let mut rest = lines;
    while let [line, after @ ..] = rest {
        rest = after;
        let Some(order) = line.trim_start().strip_prefix(ORDER) else {
            fill(line, constants, repeated, out);
            continue;
        };
        let body;
        (body, rest) = after.split_at(block(after));
        rest = rest.get(1..).unwrap_or_default();
        match order.split_whitespace().collect::<Vec<_>>()[..] {
            ["each", name, count] => {
                for number in 0..value(count, constants) {
                    repeated.push((name, number));
                    unroll(body, constants, repeated, out);
                    repeated.pop();
                }
            }
            ["when", name] if value(name, constants) != 0 => unroll(body, constants, repeated, out),
            ["unless", name] if value(name, constants) == 0 => unroll(body, constants, repeated, out),
            _ => {}
        }
    }
}

/// Lines before the end of the order that `lines` follow.
fn block(lines: &[&str]) -> usize {
    let mut depth = 1;
    let ends = |line: &&str| {
        match line.trim_start().strip_prefix(ORDER).map(str::trim_end) {
            Some("end") => depth -= 1,
            Some(_) => depth += 1,
            None => {}
        }
        depth == 0
    };
    lines.iter().position(ends).unwrap_or(lines.len())
}

fn value(name: &str, constants: &Constants<'_>) -> usize {
    let constant = constants.iter().find(|(constant, _)| *constant == name).map(|(_, value)| *value);
    constant.or_else(|| name.parse().ok()).unwrap_or(0)
}

/// A line with numbers in the place of names: a small letter is a repetition's, capitals are a constant's.
fn fill(line: &str, constants: &Constants<'_>, repeated: &Numbers<'_>, out: &mut String) {
    let mut pieces = line.split('$');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let capitals = piece.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(piece.len());
        let (name, after) = piece.split_at(capitals.max(1).min(piece.len()));
        let number = repeated.iter().find(|(repeated, _)| *repeated == name).map(|(_, number)| *number);
        let _ = write!(out, "{}{after}", number.unwrap_or_else(|| value(name, constants)));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_nest_and_numbers_take_the_place_of_names() {
        let text = "//: each r ROWS\n//: each c 2\nlet a$r_$c = x[$cu];\n//: end\n//: when NORM\nnorm$r\n//: end\n//: end\n\
                    //: unless NORM\nplain $ROWS\n//: end\nlast";
        let all = "let a0_0 = x[0u];\nlet a0_1 = x[1u];\nnorm0\nlet a1_0 = x[0u];\nlet a1_1 = x[1u];\nnorm1\nlast\n";
        assert_eq!(unrolled(text, &[("ROWS", 2), ("NORM", 1)]), all);
        let one = "let a0_0 = x[0u];\nlet a0_1 = x[1u];\nplain 1\nlast\n";
        assert_eq!(unrolled(text, &[("ROWS", 1), ("NORM", 0)]), one);
    }

    #[test]
    fn constants_are_declared_in_order() {
        assert_eq!(declared(&[("A", 1), ("B", 20)]), "const A: u32 = 1u;\nconst B: u32 = 20u;\n");
    }
}
