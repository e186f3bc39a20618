//! Length of the shortest text that a regular expression matches. Compiling nested repetitions takes a second before they are found to be
//! too long; reading them takes a moment.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};

/// Longest text that an answer may be required to have, in bytes: more than 32,768 tokens hold.
const MOST: u64 = 512 << 10;

/// Refuses an expression that matches long texts only. What the parser does not know is left to the compiler.
///
/// # Errors
/// The reason.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    let shortest = Parser::new().parse(pattern).map_or(0, |ast| shortest(&ast));
    if shortest <= MOST {
        return Ok(());
    }
    Err(format!("the shortest match has {shortest} characters, more than the {MOST} allowed"))
}

/// The parser bounds the depth.
fn shortest(ast: &Ast) -> u64 {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 0,
        Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => 1,
        Ast::Repetition(repetition) => shortest(&repetition.ast).saturating_mul(least(&repetition.op.kind)),
        Ast::Group(group) => shortest(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().map(shortest).min().unwrap_or(0),
        Ast::Concat(concat) => concat.asts.iter().map(shortest).fold(0, u64::saturating_add),
    }
}

fn least(kind: &RepetitionKind) -> u64 {
    match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => 0,
        RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(
            RepetitionRange::Exactly(least) | RepetitionRange::AtLeast(least) | RepetitionRange::Bounded(least, _),
        ) => u64::from(*least),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_match_decides() {
        for allowed in
            ["", "a{1000}", "(a{1000}){500}", "(a|b{1000}){1000}{500}", "((a{0,1000}){1000}){1000}", "(", "(?=a)"]
        {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
        for refused in [
            "((a{1000}){1000}){1000}",
            "(?x) ( [a-z]\\d{99} ){1000,} {9}",
            "(((b|ab)+){1000}.){1000}",
            "(\\p{L}{4294967295}){4294967295}",
        ] {
            assert!(check(refused).is_err(), "{refused}");
        }
    }
}
