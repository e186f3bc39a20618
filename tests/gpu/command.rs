//! Small commands: models that were pulled, keys, usage, completions, manual pages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs the command with a cache folder of its own.
fn ocelli(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.env("XDG_CACHE_HOME", cache).args(args).output().expect("the command")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Lines of JSON on standard output of a command that succeeds.
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Copies a package into a cache folder, as if it had been pulled.
#[cfg(target_os = "linux")]
fn pulled(cache: &Path, name: &str) -> PathBuf {
    let models = cache.join("ocelli").join("models");
    std::fs::create_dir_all(models.join(name)).expect("a folder");
    for entry in std::fs::read_dir("www/models/demo").expect("a package") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, models.join(name).join(path.file_name().expect("a name"))).expect("a file");
        }
    }
    models.join(name)
}

#[test]
#[cfg(target_os = "linux")]
fn models_are_listed_and_removed_as_json_and_as_text() {
    let cache = folder("models");
    let (one, two) = (pulled(&cache, "one"), pulled(&cache, "two"));
    let listed = lines(&ocelli(&cache, &["list", "--json"]));
    let names: Vec<&Value> = listed.iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(listed[0]["path"], json!(one));
    assert!(text(&ocelli(&cache, &["list"]).stdout).starts_with("one  "));
    let removed = lines(&ocelli(&cache, &["rm", "one", "--json"]));
    assert_eq!(removed, [json!({"name": "one", "removed": [one]})]);
    assert_eq!(text(&ocelli(&cache, &["rm", "two"]).stdout), "two is removed\n");
    assert!(!one.exists() && !two.exists());
    let missing = ocelli(&cache, &["rm", "two", "--json"]);
    assert_eq!((missing.status.code(), missing.stdout.as_slice()), (Some(3), b"".as_slice()));
}

#[test]
fn a_new_key_and_its_entry_are_printed_as_json() {
    let cache = folder("keys");
    let args = ["--tokens", "10", "--seconds", "2.5", "--expires", "2027-01-31", "--admin", "--json"];
    let told = ocelli(&cache, &[&["keys", "new", "ann"], args.as_slice()].concat());
    let [line] = &lines(&told)[..] else { panic!("{told:?}") };
    assert!(line["key"].as_str().is_some_and(|key| key.starts_with("sk-ocelli-") && key.len() > 50), "{line}");
    let mut entry = line["entry"].clone();
    let hash = entry.as_object_mut().expect("an entry").remove("sha256");
    assert_eq!(hash.and_then(|hash| hash.as_str().map(str::len)), Some(64));
    let budget = json!({"tokens": 10, "seconds": 2.5});
    let wanted = json!({"name": "ann", "budget": budget, "expires": "2027-01-31", "admin": true});
    assert_eq!(entry, wanted);
    assert!(text(&told.stderr).contains("`entry` is its entry"), "{told:?}");
    // Remarks are suppressed, the key is not.
    let quiet = ocelli(&cache, &["keys", "new", "ann", "--json", "--quiet"]);
    assert_eq!((lines(&quiet).len(), text(&quiet.stderr)), (1, ""));
}

#[test]
fn usage_is_json_or_csv_and_not_both() {
    let usage = folder("usage").display().to_string();
    let cache = folder("usage-cache");
    let (plain, json) = (ocelli(&cache, &["usage", &usage]), ocelli(&cache, &["usage", &usage, "--json"]));
    assert_eq!((plain.status.success(), &plain.stdout), (true, &json.stdout));
    assert_eq!(lines(&json)[0]["object"], "list");
    assert_eq!(ocelli(&cache, &["usage", &usage, "--json", "--csv"]).status.code(), Some(2));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let cache = folder("completions");
    for shell in ["bash", "zsh", "fish"] {
        let script = ocelli(&cache, &["completions", shell]);
        assert!(text(&script.stdout).contains("fetch-pictures"), "{shell}");
    }
    let pages = folder("man");
    assert!(ocelli(&cache, &["man", &pages.display().to_string()]).status.success());
    for page in ["ocelli.1", "ocelli-serve.1", "ocelli-keys-new.1", "ocelli-cache-clear.1"] {
        assert!(std::fs::read_to_string(pages.join(page)).is_ok_and(|text| text.contains("ocelli")), "{page}");
    }
}

/// Runs a command on the demo model, on the processor.
fn demo(verb: &str, more: &[&str]) -> Output {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    ocelli(cache, &[&[verb, "www/models/demo"], more, &["--device", "cpu"]].concat())
}

const PICTURE: &str = "www/models/demo/gallery/scene-01.png";

#[test]
fn options_of_an_answer_reach_it() {
    let options = ["--greedy", "--json", "--stop", "purple", "--top-k", "1", "--top-p", "0.9", "--min-p", "0.1"];
    let more = ["--prompt", "Describe this image.", "--system", "Be exact.", "--repetition-penalty", "1"];
    let stopped = lines(&demo("describe", &[&[PICTURE], options.as_slice(), more.as_slice()].concat()));
    assert_eq!(stopped[0]["stop"], "purple");
    assert_eq!(stopped[0]["text"], "An orange circle above the ");
    let plain = lines(&demo("describe", &[PICTURE, "--greedy", "--json", "--stop", "purple"]));
    let tokens = |line: &Value| line["usage"]["prompt_tokens"].as_u64().expect("a number");
    assert!(tokens(&stopped[0]) > tokens(&plain[0]), "the instruction is not in the prompt");
    let folder = folder("formats");
    let (schema, grammar) = (folder.join("schema.json"), folder.join("answer.lark"));
    let wanted = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": false});
    std::fs::write(&schema, wanted.to_string()).expect("a file");
    std::fs::write(&grammar, r#"start: "yes" | "no""#).expect("a file");
    let (schema, grammar) = (schema.display().to_string(), grammar.display().to_string());
    let fits = demo("describe", &[PICTURE, "--greedy", "--json-schema", &schema]);
    let answer: Value = serde_json::from_slice(&fits.stdout).unwrap_or_else(|error| panic!("{error}: {fits:?}"));
    assert!(answer["a"].is_boolean(), "{answer}");
    let fits = demo("describe", &[PICTURE, "--greedy", "--lark", &grammar]);
    assert!(["yes", "no"].contains(&text(&fits.stdout).trim()), "{fits:?}");
    let both = demo("describe", &[PICTURE, "--json-schema", &schema, "--lark", &grammar]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn options_of_memory_are_in_the_plan() {
    let other = "www/models/demo/gallery/scene-02.png";
    let told = demo("describe", &[PICTURE, other, "--together", "--json", "--show-memory", "--verbose"]);
    assert_eq!(lines(&told)[0]["images"], json!([PICTURE, other]));
    let remarks = text(&told.stderr);
    for wanted in ["cache f32, tower resident", "GPU memory: ", "loaded 3.7 MB"] {
        assert!(remarks.contains(wanted), "{remarks}");
    }
    let options =
        ["--kv", "f16", "--vision", "dropped", "--max-pixels", "10000", "--max-binding", "64MiB", "--tune", "never"];
    let more = ["--max-picture-seconds", "1000", "--gpu-memory-budget", "64MiB", "--show-memory"];
    let told = demo("describe", &[&[PICTURE], options.as_slice(), more.as_slice()].concat());
    assert!(told.status.success(), "{told:?}");
    assert!(text(&told.stderr).contains("cache f16, tower dropped"), "{told:?}");
    let small = demo("describe", &[PICTURE, "--gpu-memory-budget", "1MiB"]);
    assert_eq!(small.status.code(), Some(4));
    assert!(text(&small.stderr).contains("1048576 are allowed"), "{small:?}");
}

#[test]
fn what_a_model_was_not_trained_for_is_refused() {
    let drawn = folder("drawn").join("found.png");
    for (options, wanted) in [
        (
            ["--find", "a circle", "--draw", &drawn.display().to_string()].as_slice(),
            "were not trained to give coordinates",
        ),
        (&["--think"], "has not learnt to think"),
    ] {
        let told = demo("describe", &[&[PICTURE], options].concat());
        assert_eq!(told.status.code(), Some(2), "{told:?}");
        assert!(text(&told.stderr).contains(wanted), "{told:?}");
    }
    assert!(!drawn.exists());
    // Text without tags stays as it is.
    let plain = demo("describe", &[PICTURE, "--doctags", "markdown"]);
    assert_eq!(text(&plain.stdout).trim(), crate::serve::WANTED);
}

#[test]
fn logits_are_the_same_in_chunks() {
    let folder = folder("logits");
    let request = folder.join("request.json");
    std::fs::write(&request, json!({"messages": [{"role": "user", "content": "Hello"}]}).to_string()).expect("a file");
    let score = |name: &str, more: &[&str]| {
        let (request, out) = (request.display().to_string(), folder.join(name));
        let told = demo("score", &[&[&request, "--logits", &out.display().to_string()], more].concat());
        (lines(&told).remove(0), std::fs::read(out).expect("logits"))
    };
    let ((whole, logits), (parts, others)) = (score("whole", &[]), score("parts", &["--chunk", "2"]));
    assert_eq!(whole["input_ids"], parts["input_ids"]);
    assert_eq!(logits.len(), others.len());
    let near = |index: usize| {
        let of = |output: &Value| output["positions"][index]["logprob"].as_f64().expect("a number");
        (of(&whole) - of(&parts)).abs() < 1e-3
    };
    assert!((0..2).all(near), "{whole} {parts}");
}
