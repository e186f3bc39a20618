//! The schemas of the JSON Schema Test Suite, <https://github.com/json-schema-org/JSON-Schema-Test-Suite>, which is not part of this repository.

use std::env;

use ocelli_grammar::GrammarError;
use serde_json::Value;

use super::try_schema;
use super::vocabulary::grammars;

/// Largest number of schemas of draft 2020-12 that are refused, of those that need no other documents and that some value of the suite matches.
const REFUSED: usize = 34;

/// `OCELLI_SCHEMA_SUITE` is the folder `tests/draft2020-12` of the suite.
#[test]
#[ignore = "needs the suite in OCELLI_SCHEMA_SUITE"]
fn most_schemas_of_the_test_suite_are_enforced() {
    let folder = env::var("OCELLI_SCHEMA_SUITE").expect("OCELLI_SCHEMA_SUITE");
    let (grammars, words) = grammars();
    let (mut accepted, mut refused) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let groups: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        for group in groups {
            let name = format!("{}: {}", path.file_stem().expect("a name").display(), group["description"]);
            let tests = group["tests"].as_array().expect("tests");
            if !tests.iter().any(|test| test["valid"] == true) {
                continue;
            }
            if jsonschema::options().build(&group["schema"]).is_err() {
                continue;
            }
            match try_schema(&grammars, &words, (&name, &group["schema"].to_string()), 20) {
                Ok(_) => accepted += 1,
                Err(GrammarError::UnsupportedSchema { pointer, keyword, reason }) => {
                    refused.push(format!("{name}: {pointer} {keyword}: {reason:.100}"));
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    println!("{accepted} accepted, {} refused: {refused:#?}", refused.len());
    assert!(accepted > 250 && refused.len() <= REFUSED, "{accepted} accepted, {} refused", refused.len());
}
