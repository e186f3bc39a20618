//! `ocelli search` as a user runs it, over pictures and a tiny random model: the index, not what the model knows.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::command::{ocelli, text};
use super::common::{Scratch, checkpoint_dir};

/// Copies a fixture's picture, with bytes after its end that make it another file.
fn picture(folder: &Path, name: &str, of: &str, mark: u8) {
    let mut bytes = fs::read(checkpoint_dir("qwen3_vl").join(format!("images/{of}.png"))).expect("a fixture");
    bytes.push(mark);
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a picture");
}

fn search(package: &Path, folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.arg("search").arg(folder).arg("--model").arg(package).args(more);
    command.env("OCELLI_DEVICE", "cpu").env("OCELLI_THREADS", "1").output().expect("the command")
}

fn found(output: &Output) -> Vec<(String, f64)> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = |line: &str| {
        let found: Value = serde_json::from_str(line).expect("JSON");
        let path = found["path"].as_str().expect("a path");
        (path.rsplit('/').next().unwrap_or(path).to_owned(), found["score"].as_f64().expect("a number"))
    };
    text(&output.stdout).lines().map(line).collect()
}

#[test]
fn only_new_and_changed_pictures_are_computed() {
    let scratch = Scratch::new();
    let (package, folder) = (scratch.0.join("package"), scratch.0.join("photos"));
    let packed = ocelli(&[&"pack", &checkpoint_dir("qwen3_vl"), &"--out", &package, &"--quant", &"f32"]);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    picture(&folder, "a.png", "wide", 1);
    picture(&folder, "below/b.png", "small", 2);
    picture(&folder, "below/c.PNG", "thin", 3);
    fs::write(folder.join("broken.jpg"), "no picture").expect("a file");
    fs::write(folder.join("notes.txt"), "words").expect("a file");
    picture(&folder, ".hidden/d.png", "thin", 4);

    let refused = search(&package, &folder, &["a dog"]);
    assert_eq!(refused.status.code(), Some(2), "the checkpoint is no embedding model");
    assert!(text(&refused.stderr).contains("not trained for embeddings"), "{}", text(&refused.stderr));

    let json = ["--embeddings", "--json"];
    let told = |output: &Output, wanted: &str| {
        let stderr = text(&output.stderr);
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    };
    let first = search(&package, &folder, &[&["a dog"][..], &json].concat());
    told(&first, "4 pictures, 3 of them computed");
    told(&first, "broken.jpg: error[invalid-image]");
    let ranked = found(&first);
    assert_eq!(ranked.len(), 3);
    assert!(
        ranked.is_sorted_by(|a, b| a.1 >= b.1) && ranked.iter().all(|(_, score)| score.abs() <= 1.0001),
        "{ranked:?}"
    );

    let index = scratch.0.join("photos.ocelli-index");
    let whole = fs::read_to_string(&index).expect("the index is beside the folder");
    assert_eq!(whole.lines().count(), 4);
    let again = search(&package, &folder, &[&["a dog", "--top", "1"][..], &json].concat());
    told(&again, "4 pictures, 0 of them computed");
    assert_eq!(found(&again), ranked[..1]);

    // One is new, one changed, one removed, one copied, and the last line was torn.
    picture(&folder, "e.png", "small", 5);
    picture(&folder, "a.png", "thin", 6);
    fs::remove_file(folder.join("below/b.png")).expect("a picture");
    picture(&folder, "copy.png", "thin", 3);
    fs::write(&index, &whole[..whole.len() - 1]).expect("the index");
    let later = search(&package, &folder, &[&["a dog"][..], &json].concat());
    told(&later, "5 pictures, 2 of them computed");
    let mut names: Vec<String> = found(&later).into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["a.png", "c.PNG", "copy.png", "e.png"]);
    let score = |wanted: &str| found(&later).into_iter().find(|(name, _)| name == wanted).expect("found").1;
    assert!((score("copy.png") - score("c.PNG")).abs() < 1e-9);

    // An index somewhere else, and of another detail.
    let other = scratch.0.join("other");
    let elsewhere = search(
        &package,
        &folder,
        &["a dog", "--embeddings", "--index", other.to_str().expect("a path"), "--detail", "high"],
    );
    // One has the content of another.
    told(&elsewhere, "5 pictures, 3 of them computed");
    assert_eq!(text(&elsewhere.stdout).lines().count(), 4);
    fs::write(&other, "a letter\n").expect("a file");
    let kept = search(&package, &folder, &["a dog", "--embeddings", "--index", other.to_str().expect("a path")]);
    assert_eq!((kept.status.code(), fs::read_to_string(&other).expect("kept").as_str()), (Some(3), "a letter\n"));
}
