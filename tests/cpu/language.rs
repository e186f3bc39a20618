//! Comments, documents and messages are plain technical English (see the section on style in `CONTRIBUTING.md`). Run this check with
//! `cargo test --test cpu language`.

use std::fs;
use std::path::Path;

/// Folders without files of this repository.
const FOREIGN: [&str; 6] = ["target", "node_modules", "dist", "out", ".git", ".tools"];

/// Words that begin a relative clause. A comment begins with a noun phrase or a verb.
const FIRST_WORDS: &[&str] =
    &["What", "Whether", "Of", "Has", "Have", "Who", "Where", "As", "Whoever", "Whatever", "Whichever", "Those"];

/// Words and phrases that have a usual equivalent: "after", "continue", "equal", "must", "replace", "dry run", "switch to".
const RETIRED: &[&str] = &[
    "behind",
    "go on",
    "goes on",
    "gone on",
    "going on",
    "went on",
    "come to",
    "comes to",
    "came to",
    "is to be",
    "are to be",
    "stand in for",
    "stands in for",
    "stood in for",
    "on paper",
    "take up",
    "takes up",
    "taken up",
];

/// Paths of all texts below `folder`, relative to the root of the repository.
fn texts(root: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().expect("a kind of file");
        let is_text = [".rs", ".wgsl", ".ts", ".tsx", ".mjs", ".md"].iter().any(|ending| name.ends_with(ending));
        if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
            texts(root, &path, found);
        } else if kind.is_file() && is_text && path != "tests/cpu/language.rs" {
            found.push(path);
        }
    }
}

/// The text of a line that is a comment and nothing else.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = ["///", "//!", "//", "/**", "* "].iter().find_map(|marker| line.strip_prefix(marker))?;
    Some(text.trim_start())
}

fn begins_with(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

/// Returns true if a line has the phrase as whole words.
fn contains(line: &str, phrase: &str) -> bool {
    let is_boundary = |other: Option<char>| !other.is_some_and(char::is_alphanumeric);
    line.match_indices(phrase).any(|(at, _)| {
        is_boundary(line[..at].chars().next_back()) && is_boundary(line[at + phrase.len()..].chars().next())
    })
}

/// The reason to rewrite a line.
fn fault(is_document: bool, line: &str) -> Option<String> {
    let first = FIRST_WORDS.iter().find(|word| comment(line).is_some_and(|text| begins_with(text, word)));
    let lower = line.to_lowercase();
    let retired = RETIRED.iter().find(|phrase| contains(&lower, phrase));
    let first = first.filter(|_| !is_document).map(|word| format!("begins with \"{word}\""));
    first.or_else(|| retired.map(|phrase| format!("says \"{phrase}\"")))
}

#[test]
fn comments_and_messages_are_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    texts(root, "", &mut paths);
    paths.sort_unstable();
    let mut findings = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(root.join(path)).expect("a text file");
        let faults = text.lines().enumerate().filter_map(|(at, line)| {
            fault(path.ends_with(".md"), line).map(|reason| format!("{path}:{}: {reason}: {}", at + 1, line.trim()))
        });
        findings.extend(faults);
    }
    assert!(paths.len() > 700, "only {} files were read", paths.len());
    assert!(findings.is_empty(), "rewrite {} lines:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn retired_words_and_relative_clauses_are_found() {
    let says = |line| fault(false, line).unwrap_or_default();
    assert_eq!(says("    /// What a pass needs."), "begins with \"What\"");
    assert_eq!(says(" * As `run`, once more."), "begins with \"As\"");
    assert_eq!(says("let text = \"it Goes on\";"), "says \"goes on\"");
    assert_eq!(says("/// Whatsoever a window has, beneath it"), "");
    assert_eq!(says("let is_behind = what;"), "says \"behind\"");
    assert_eq!(fault(true, "* What it takes"), None);
}
