//! `ocelli pack` and `ocelli inspect` as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::common::{Scratch, checkpoint_dir, fixture};

pub(super) fn ocelli(args: &[&dyn AsRef<Path>]) -> Output {
    let args = args.iter().map(|arg| arg.as_ref().as_os_str());
    Command::new(env!("CARGO_BIN_EXE_ocelli")).args(args).output().expect("the command")
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn packs_and_inspects() {
    let scratch = Scratch::new();
    let out = scratch.0.join("package");
    let named: [&dyn AsRef<Path>; 6] = [&"--name", &"Tiny", &"--license", &"CC0", &"--source", &"a test"];
    let checkpoint = checkpoint_dir("untied");
    let fixed: [&dyn AsRef<Path>; 6] = [&"pack", &checkpoint, &"--out", &out, &"--quant", &"q8_0"];
    let packed = ocelli(&[&fixed[..], &named].concat());
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    assert!(text(&packed.stdout).contains("380480 weights in 54 tensors, Tiny as q8_0"), "{}", text(&packed.stdout));

    let inspected = ocelli(&[&"inspect", &out, &"--json", &"--verify"]);
    assert!(inspected.status.success(), "{}", text(&inspected.stderr));
    let summary: Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!((&summary["name"], &summary["quantization"]), (&"Tiny".into(), &"q8_0".into()));
    assert_eq!((&summary["license"], &summary["source"]), (&"CC0".into(), &"a test".into()));
    assert_eq!((&summary["weights"], &summary["verified"]), (&380_480.into(), &true.into()));
    assert_eq!(summary["layouts"]["f16"]["tensors"], 1);
    assert_eq!(summary["config"]["text"]["vocab_size"], 448);
    // 3 layers of 2 heads, each with 32 keys, 32 values and, of integers, a word of scales.
    assert_eq!(summary["cache_bytes_per_token"], serde_json::json!({ "f32": 1536, "f16": 768, "int8": 408 }));

    let plain = ocelli(&[&"inspect", &out]);
    let lines = text(&plain.stdout);
    assert!(plain.status.success() && lines.starts_with("Tiny\n"), "{lines}");
    assert!(lines.contains("3 layers, 64 wide, 6/2 heads of 32") && lines.contains("q8_0"), "{lines}");
    assert!(lines.contains("bytes a token: 1536 in f32, 768 in f16, 408 in int8"), "{lines}");
    assert!(!lines.contains("hash"), "nothing was verified: {lines}");

    let shard = out.join("shard-0000.bin");
    let mut bytes = std::fs::read(&shard).expect("a shard");
    bytes[1000] ^= 0x10;
    std::fs::write(&shard, bytes).expect("a shard");
    let damaged = ocelli(&[&"inspect", &out, &"--verify"]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(
        text(&damaged.stderr).starts_with("error[integrity]: shard-0000.bin: SHA-256 is"),
        "{}",
        text(&damaged.stderr)
    );
    assert!(damaged.stdout.is_empty());
}

#[test]
fn cache_commands_leave_files_of_others_alone() {
    let scratch = Scratch::new();
    let file = |name: &str| scratch.0.join(name);
    let others = ["film.part", "ocelli-film.part", "holiday.snapshot", "lock"];
    for name in others {
        std::fs::write(file(name), "of another program").expect("a file");
    }
    let run = |verb: &str| {
        let output = ocelli(&[&"cache", &verb, &scratch.0]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(others.iter().all(|name| std::fs::read(file(name)).expect("a file") == b"of another program"));
        text(&output.stdout)
    };
    assert_eq!(run("show"), "0 conversations, 0.0 MB\n");
    run("clear");
    std::fs::write(file("0a1b.snapshot"), b"OCELLIKV and more").expect("a file");
    std::fs::write(file("ocelli-0a1b.part"), b"OCELLIKV").expect("a file");
    assert_eq!(run("show"), "1 conversations, 0.0 MB\n");
    assert!(file("ocelli-0a1b.part").exists(), "show changes nothing");
    run("clear");
    assert!(!file("0a1b.snapshot").exists() && !file("ocelli-0a1b.part").exists());
    assert_eq!(std::fs::read_dir(&scratch.0).expect("a folder").count(), others.len());
}

#[test]
fn packs_gguf_files() {
    let scratch = Scratch::new();
    let out = scratch.0.join("package");
    let (text_model, mmproj) = (fixture("gguf/q4_k.gguf"), fixture("gguf/mmproj.gguf"));
    let packed = ocelli(&[&"pack", &text_model, &"--mmproj", &mmproj, &"--out", &out]);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    assert!(text(&packed.stdout).contains("weights in 35 tensors, Tiny GGUF as q4_k"), "{}", text(&packed.stdout));
    let inspected = ocelli(&[&"inspect", &out, &"--json", &"--verify"]);
    assert!(inspected.status.success(), "{}", text(&inspected.stderr));
    let summary: Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    let tensors = |layout: &str| summary["layouts"][layout]["tensors"].as_u64();
    assert_eq!((tensors("q4_k"), tensors("q6_k"), tensors("q8_0"), tensors("q5_k")), (Some(5), Some(2), Some(1), None));

    let blind = ocelli(&[&"pack", &text_model, &"--out", &out, &"--name", &"Blind"]);
    assert!(text(&blind.stdout).contains("11 tensors, Blind as q4_k"), "{}", text(&blind.stdout));
    let refused = |args: &[&dyn AsRef<Path>], code: &str| {
        let output = ocelli(args);
        let status = if code == "invalid-request" { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(status), "{code}");
        assert!(text(&output.stderr).starts_with(&format!("error[{code}]")), "{}", text(&output.stderr));
    };
    refused(&[&"pack", &mmproj, &"--out", &out], "unsupported-architecture");
    refused(&[&"pack", &text_model, &"--mmproj", &text_model, &"--out", &out], "invalid-checkpoint");
    refused(&[&"pack", &scratch.0.join("none.gguf"), &"--out", &out], "invalid-checkpoint");
    refused(&[&"pack", &checkpoint_dir("untied"), &"--mmproj", &mmproj, &"--out", &out], "invalid-request");
    assert_eq!(scratch.entries(), ["package"]);
}

#[test]
fn makes_packages_compact() {
    let scratch = Scratch::new();
    let (out, text_model) = (scratch.0.join("package"), fixture("gguf/q4_k.gguf"));
    let mmproj = fixture("gguf/mmproj.gguf");
    let packed = ocelli(&[
        &"pack",
        &text_model,
        &"--mmproj",
        &mmproj,
        &"--out",
        &out,
        &"--quant",
        &"compact",
        &"--vision-quant",
        &"q8_0",
    ]);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    let summary: Value =
        serde_json::from_slice(&ocelli(&[&"inspect", &out, &"--json", &"--tensors"]).stdout).expect("JSON");
    assert_eq!(summary["requantized_from"], serde_json::json!({"q4_k": 5, "q6_k": 2, "q8_0": 1}));
    assert_eq!(
        (&summary["layouts"]["q4_64"]["tensors"], &summary["layouts"]["f16"]["tensors"]),
        (&8.into(), &1.into())
    );
    assert_eq!(summary["tensors"].as_array().map(Vec::len), Some(35));
    let lines = text(&ocelli(&[&"inspect", &out, &"--tensors"]).stdout);
    assert!(lines.contains("5 tensors were q4_k before") && lines.contains("q4_64, was q6_k"), "{lines}");

    // Floats of a GGUF file and everything of it.
    let layouts = |args: &[&dyn AsRef<Path>]| {
        let fixed: [&dyn AsRef<Path>; 6] = [&"pack", &text_model, &"--out", &out, &"--quant", &"q4_0"];
        let packed = ocelli(&[&fixed, args].concat());
        assert!(packed.status.success(), "{}", text(&packed.stderr));
        let summary: Value = serde_json::from_slice(&ocelli(&[&"inspect", &out, &"--json"]).stdout).expect("JSON");
        (summary["layouts"]["q4_0"]["tensors"].as_u64(), summary["layouts"]["q4_k"]["tensors"].as_u64())
    };
    assert_eq!(layouts(&[]), (None, Some(5)));
    assert_eq!(layouts(&[&"--requant"]), (Some(8), None));
    let usage = ocelli(&[&"pack", &text_model, &"--out", &out, &"--vision-quant", &"q4_k"]);
    assert_eq!(usage.status.code(), Some(2), "only what numbers can be brought into: {}", text(&usage.stderr));
}

#[test]
fn load_time_and_memory_are_reported() {
    let scratch = Scratch::new();
    let out = scratch.0.join("package");
    assert!(ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &out, &"--quant", &"q4_64"]).status.success());
    let summary: Value =
        serde_json::from_slice(&ocelli(&[&"inspect", &out, &"--json", &"--load"]).stdout).expect("JSON");
    let load = &summary["load"];
    assert_eq!(load["bytes"], summary["bytes"]);
    assert!(load["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{load}");
    let row = load["gpu"].as_array().and_then(|rows| rows.iter().find(|row| row["purpose"] == "text_weights"));
    assert!(row.is_some_and(|row| row["peak"].as_u64() > Some(100_000)), "{load}");
    let lines = text(&ocelli(&[&"inspect", &out, &"--load"]).stdout);
    assert!(lines.contains(" GB/s; GPU memory at most ") && lines.contains("TextWeights"), "{lines}");
}

#[test]
fn failures_have_codes() {
    let scratch = Scratch::new();
    let out = scratch.0.join("package");
    let missing = ocelli(&[&"pack", &scratch.0.join("nothing"), &"--out", &out]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("error[invalid-checkpoint]: config.json"), "{}", text(&missing.stderr));
    assert!(scratch.entries().is_empty());
    let usage = ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &out, &"--quant", &"q3"]);
    assert_eq!(usage.status.code(), Some(2));
    assert_eq!(ocelli(&[&"pack"]).status.code(), Some(2));
    let foreign = ocelli(&[&"inspect", &checkpoint_dir("untied")]);
    assert_eq!(foreign.status.code(), Some(1));
    assert!(text(&foreign.stderr).contains("error[invalid-package]: model.json"), "{}", text(&foreign.stderr));
}

/// The standard output of a shell.
fn shell(name: &str, script: &str, folder: &Path) -> String {
    let output = Command::new(name).args(["-f", "-c", script]).current_dir(folder).output().expect("the shell");
    assert!(output.stderr.is_empty(), "{name}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn completions_load_in_bash_and_zsh() {
    let scratch = Scratch::new();
    for (shell, file) in [("bash", "ocelli.bash"), ("zsh", "_ocelli")] {
        let script = ocelli(&[&"completions", &shell]).stdout;
        std::fs::write(scratch.0.join(file), script).expect("a file");
    }
    let completed = |words: &str| {
        let last = "last=$((${#COMP_WORDS[@]} - 1)); COMP_CWORD=$last";
        let call = "_ocelli ocelli \"${COMP_WORDS[$last]}\" \"${COMP_WORDS[$last - 1]}\"; echo \"${COMPREPLY[@]}\"";
        shell("bash", &format!("source ./ocelli.bash; COMP_WORDS=({words}); {last}; {call}"), &scratch.0)
    };
    assert_eq!(completed("ocelli ser"), "serve\n");
    assert_eq!(completed("ocelli serve --dev"), "--device\n");
    assert_eq!(completed("ocelli serve --device ''"), "auto gpu cpu\n");
    // It is found by its name, and defines a function for each verb.
    let found = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -d ./dump; print $_comps[ocelli]";
    let load = "source ./_ocelli; print $+functions[_ocelli__subcmd__serve_commands]";
    assert_eq!(shell("zsh", &format!("{found}; {load}"), &scratch.0), "_ocelli\n1\n");
}
