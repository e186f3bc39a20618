//! Matches of patterns by the library, for `tokenizer.test.ts`: browsers must find the same.

use std::collections::BTreeSet;
use std::path::Path;

use fancy_regex::Regex;
use ocelli::chat::pattern::javascript::translate;
use serde_json::{Value, json};

use super::LLAMA_3;
use super::pre_tokenizers::{QWEN_2, QWEN_35};
use super::vocabulary::{TEKKEN, XorShift, nasty};

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Possessive repetitions, ranges and intersections, as other published files have them.
const OTHERS: [&str; 4] = [
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"\p{N}{1,3}|[一-龥぀-ゟ゠-ヿ]+|[!-/:-@\[-`{-~]?[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    r"[\p{Han}]+|[^\p{Han}\s]+(?<!\d)|\w+",
    "x*",
];
/// Each as a whole pattern.
const CLASSES: [&str; 21] = [
    r"\p{L}", r"\P{L}", r"\p{Lu}", r"\p{Ll}", r"\p{Lt}", r"\p{Lm}", r"\p{Lo}", r"\p{M}", r"\p{N}", r"\p{Nd}", r"\p{P}",
    r"\p{S}", r"\p{Han}", r"\s", r"\S", r"\d", r"\w", r"\W", ".", "(?i:s)", "(?i:k)",
];

/// The code points of each run that matches, first and last.
fn runs(class: &str, all: &str) -> Vec<u32> {
    let regex = Regex::new(&format!("(?:{class})+")).unwrap();
    let ends = |run: &str| [run.chars().next(), run.chars().next_back()].map(|c| u32::from(c.unwrap()));
    regex.find_iter(all).flat_map(|found| ends(found.unwrap().as_str())).collect()
}

/// The places in 16-bit units where matches begin and end.
fn cuts(regex: &Regex, text: &str) -> BTreeSet<usize> {
    let unit = |byte: usize| text[..byte].encode_utf16().count();
    regex.find_iter(text).map(Result::unwrap).flat_map(|found| [unit(found.start()), unit(found.end())]).collect()
}

#[test]
fn the_patterns_for_browsers_are_written() {
    let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
    let classes: Vec<Value> = CLASSES
        .into_iter()
        .map(|class| json!({ "class": class, "spelled": translate(class).unwrap(), "runs": runs(class, &all) }))
        .collect();
    let mut random = XorShift(0x5911_77e4);
    let patterns: Vec<Value> = [TEKKEN, LLAMA_3, QWEN_2, QWEN_35, GPT_2]
        .into_iter()
        .chain(OTHERS)
        .map(|pattern| {
            let regex = Regex::new(pattern).unwrap();
            let texts: Vec<String> = (0..1500).map(|_| nasty(&mut random)).collect();
            let cuts: Vec<_> = texts.iter().map(|text| cuts(&regex, text)).collect();
            json!({ "pattern": pattern, "spelled": translate(pattern).unwrap(), "texts": texts, "cuts": cuts })
        })
        .collect();
    let export = json!({ "classes": classes, "unassigned": runs(r"\p{Cn}", &all), "patterns": patterns });
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("patterns.json"), export.to_string()).unwrap();
}
