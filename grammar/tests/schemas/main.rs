//! Answers match their schema according to another implementation of JSON Schema; schemas that cannot be enforced are refused with their
//! location; nothing takes long. Tokens are drawn at random from those that are allowed, which is harder than any model.

mod corpus;
#[path = "../../../tests/shared/cpu_time.rs"]
mod cpu_time;
mod generator;
mod lark;
mod patterns;
mod suite;
mod vocabulary;

use std::collections::BTreeMap;
use std::time::Duration;

use cpu_time::cpu_time;
use ocelli_grammar::{Grammar, GrammarError, Grammars};
use serde_json::{Value, json};
use vocabulary::{Dice, END, grammars};

/// Tokens of an answer at most; longer ones are given up.
const LONGEST: usize = 600;
/// Limit of the time for compiling a grammar or computing a mask.
const SLOW: Duration = Duration::from_secs(10);

/// How a random answer ended.
enum Outcome {
    Whole(String),
    TooLong,
}

/// An answer by chance. Once it is long, what closes it is preferred.
fn answer(grammar: &Grammar, words: &[Vec<u8>], dice: &mut Dice) -> Result<Outcome, GrammarError> {
    let (mut matcher, mut text, mut tokens) = (grammar.start(), Vec::new(), Vec::new());
    let mut mask = vec![0u32; words.len().div_ceil(32)];
    for step in 0..LONGEST {
        if matcher.is_finished()? {
            return Ok(Outcome::Whole(String::from_utf8(text).expect("text")));
        }
        let forced = matcher.forced()?;
        let next = if forced.is_empty() {
            matcher.mask(&mut mask)?;
            let allowed: Vec<u32> =
                (0..words.len() as u32).filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
            assert!(!allowed.is_empty(), "nothing may come after {:?}", String::from_utf8_lossy(&text));
            let closes = |id: &&u32| {
                **id == END || words[**id as usize].starts_with(b"\"") || b"]}".contains(&words[**id as usize][0])
            };
            let preferred: Vec<u32> =
                if step > 40 { allowed.iter().filter(closes).copied().collect() } else { Vec::new() };
            let among = if preferred.is_empty() || dice.chance(30) { &allowed } else { &preferred };
            vec![among[dice.below(among.len())]]
        } else {
            forced
        };
        if next == [END] {
            return Ok(Outcome::Whole(String::from_utf8(text).expect("text")));
        }
        assert_eq!(matcher.commit(&next)?, next.len(), "what may come is taken");
        text.extend(next.iter().flat_map(|id| words[*id as usize].iter().copied()));
        tokens.extend(next);
    }
    Ok(Outcome::TooLong)
}

fn timed<T>(what: &str, name: &str, act: impl FnOnce() -> T) -> T {
    let started = cpu_time();
    let done = act();
    let took = cpu_time() - started;
    if took > Duration::from_millis(300) {
        println!("{name}: {what} took {took:?}");
    }
    assert!(took < SLOW, "{name}: {what} took {took:?}");
    done
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("a schema")
}

/// Random answers to a schema, all of which must fit it. Returns how many ended.
fn try_schema(
    grammars: &Grammars,
    words: &[Vec<u8>],
    (name, text): (&str, &str),
    answers: u64,
) -> Result<usize, GrammarError> {
    let grammar = timed("making ready", name, || grammars.json_schema(text))?;
    let schema: Value = serde_json::from_str(text).expect("JSON");
    let (validator, mut whole) = (validator(&schema), 0);
    for seed in 0..answers {
        match timed("an answer", name, || answer(&grammar, words, &mut Dice(seed)))? {
            Outcome::Whole(said) => {
                let value: Value =
                    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{name} {text}: {said}: {error}"));
                if let Err(error) = validator.validate(&value) {
                    panic!("{name} {text}: {said}: {error}");
                }
                whole += 1;
            }
            Outcome::TooLong => {}
        }
    }
    Ok(whole)
}

#[test]
fn answers_fit_the_schemas_of_the_corpus() {
    let (grammars, words) = grammars();
    let (mut ended, mut endless) = (0, Vec::new());
    for (name, text) in corpus::supported() {
        let whole =
            try_schema(&grammars, &words, (&name, &text), 20).unwrap_or_else(|error| panic!("{name} {text}: {error}"));
        ended += whole;
        endless.extend((whole == 0).then_some(name));
    }
    println!("{ended} answers ended; none of {endless:?}");
    // Chance does not find the end of some patterns.
    assert!(endless.len() <= 5, "no answer ended: {endless:?}");
}

#[test]
fn answers_fit_generated_schemas_or_the_schema_is_refused_with_its_place() {
    let (grammars, words) = grammars();
    let (mut schemas, mut refused, mut ended) = (0, Vec::new(), 0);
    for seed in 0..400 {
        let schema = generator::schema(&mut Dice(seed), 3);
        let text = schema.to_string();
        match try_schema(&grammars, &words, (&format!("generated {seed}"), &text), 6) {
            Ok(whole) => (schemas, ended) = (schemas + 1, ended + whole),
            Err(GrammarError::UnsupportedSchema { pointer, keyword, reason }) => {
                assert!(schema.pointer(&pointer).is_some(), "{pointer} leads nowhere: {text}");
                refused.push(format!("{pointer} {keyword}: {reason}"));
            }
            Err(error) => panic!("generated {seed} {text}: {error}"),
        }
    }
    println!("{schemas} schemas, {ended} answers ended, {} refused: {refused:#?}", refused.len());
    assert!(schemas >= 300 && ended > 1000, "{schemas} schemas, {ended} answers");
}

/// `OCELLI_SCHEMA_ANSWERS` is the number of answers.
#[test]
fn answers_fit_combined_schemas() {
    let wanted: usize =
        std::env::var("OCELLI_SCHEMA_ANSWERS").map_or(1500, |count| count.parse().expect("a number of answers"));
    let (grammars, words) = grammars();
    let (mut schemas, mut refused, mut ended) = (0, BTreeMap::new(), 0);
    for seed in 0.. {
        let schema = generator::combined(&mut Dice(seed));
        match try_schema(&grammars, &words, (&format!("combined {seed}"), &schema.to_string()), 6) {
            Ok(whole) => (schemas, ended) = (schemas + 1, ended + whole),
            Err(GrammarError::UnsupportedSchema { pointer, keyword, reason }) => {
                assert!(schema.pointer(&pointer).is_some(), "{pointer} leads nowhere: {schema}");
                *refused.entry(format!("{keyword}: {reason:.60}")).or_insert(0) += 1;
            }
            Err(error) => panic!("combined {seed} {schema}: {error}"),
        }
        if ended >= wanted {
            break;
        }
    }
    let contradictions: usize = refused.values().sum();
    println!("{schemas} schemas, {ended} answers ended, {contradictions} refused: {refused:#?}");
    // Most combinations by chance contradict themselves.
    assert!(schemas * 4 > contradictions, "{schemas} schemas, {contradictions} refused");
}

#[test]
fn every_constraint_of_combined_schemas_is_kept() {
    let (grammars, words) = grammars();
    let bounds = r#"{"type": "integer", "minimum": 0, "maximum": 600}"#;
    let text = format!(
        r#"{{"allOf": [{{"multipleOf": 2}}, {bounds}], "anyOf": [{{"multipleOf": 3}}], "oneOf": [{{"multipleOf": 5}}]}}"#
    );
    let ended = try_schema(&grammars, &words, ("divisors", &text), 200).expect("a schema");
    assert!(ended > 50, "{ended} answers");
    let patterns = r#"{"type": "string", "pattern": "^[a-z]{2,6}$", "allOf": [{"pattern": "b"}, {"pattern": "a$"}, {"minLength": 3}]}"#;
    assert!(try_schema(&grammars, &words, ("patterns", patterns), 50).expect("a schema") > 10);
}

#[test]
fn the_largest_limits_can_be_negated() {
    let (grammars, _) = grammars();
    for limit in ["maxLength", "maxItems", "maxProperties"] {
        for number in ["1e300", "18446744073709551615"] {
            let refused = grammars.json_schema(&format!(r#"{{"not": {{"{limit}": {number}}}}}"#)).err();
            assert!(matches!(refused, Some(GrammarError::UnsupportedSchema { .. })), "{limit} {number}: {refused:?}");
        }
    }
}

#[test]
fn alternatives_that_are_enforced_narrowly_may_overlap() {
    let (grammars, words) = grammars();
    for text in [
        r#"{"oneOf": [{"type": "string"}, {"type": ["string", "integer"], "not": {"type": "string", "pattern": "x"}}]}"#,
        r#"{"oneOf": [{"enum": ["_@a.bc", 1]}, {"type": "string", "format": "email"}]}"#,
        r#"{"oneOf": [{"type": "array", "maxItems": 2}, {"type": "array", "prefixItems": [{"type": "null"}], "contains": {"const": 1}}]}"#,
        r##"{"$schema": "http://json-schema.org/draft-07/schema#", "not": {"$ref": "#/definitions/a", "minLength": 3}, "type": "string",
            "definitions": {"a": {"type": "string", "maxLength": 9}}}"##,
    ] {
        let outcome = try_schema(&grammars, &words, ("overlapping", text), 100);
        assert!(matches!(outcome, Ok(_) | Err(GrammarError::UnsupportedSchema { .. })), "{outcome:?}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused_with_pointer_and_keyword() {
    let (grammars, _) = grammars();
    for (text, pointer, keyword) in corpus::REFUSED {
        match grammars.json_schema(text) {
            Err(GrammarError::UnsupportedSchema { pointer: at, keyword: which, reason }) => {
                assert_eq!((at.as_str(), which.as_str()), (pointer, keyword), "{text}: {reason}");
            }
            Err(error) => panic!("{text}: {error}"),
            Ok(_) => panic!("{text} is accepted"),
        }
    }
}

#[test]
fn hostile_schemas_take_neither_long_nor_much() {
    let (grammars, words) = grammars();
    for (name, text) in corpus::hostile() {
        let outcome = timed("everything", &name, || match grammars.json_schema(&text) {
            Ok(grammar) => answer(&grammar, &words, &mut Dice(1)).map(|_| "answered"),
            Err(error) => Err(error),
        });
        println!("{name}: {outcome:?}");
    }
    for bomb in corpus::BOMBS {
        let outcome = timed("everything", bomb, || {
            grammars.regex(bomb).and_then(|grammar| answer(&grammar, &words, &mut Dice(1)).map(drop))
        });
        println!("{bomb}: {outcome:?}");
    }
}

#[test]
fn expressions_that_match_only_long_texts_are_refused_at_once() {
    let (grammars, _) = grammars();
    let expression = "((a{1000}){1000}){1000}";
    let schema = json!({ "type": "string", "pattern": format!("^{expression}$") }).to_string();
    let began = cpu_time();
    let refused = [grammars.regex(expression), grammars.json_schema(&schema)].map(|outcome| outcome.err());
    let took = cpu_time() - began;
    for error in refused {
        let told = error.expect("a refusal").to_string();
        assert!(told.contains("the shortest match has 1000000000 characters"), "{told}");
    }
    assert!(took < Duration::from_millis(100), "{took:?}");
}
