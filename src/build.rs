//! Checks the WGSL files in `shaders/` and makes a table of them, which `src/shader` includes.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

#[allow(dead_code, unreachable_pub, reason = "the crate uses the rest of it")]
#[path = "shader/syntax.rs"]
mod syntax;

/// Kernels, and what they share.
const FOLDERS: [&str; 3] = ["shaders", "shaders/shared", "shaders/layouts"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shader/syntax.rs");
    println!("cargo::rerun-if-changed=../shaders");
    let mut root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // A published crate has the folder itself.
    if !root.join("shaders").is_dir() {
        root.push("..");
    }
    let mut files: Vec<(String, String)> = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).expect("a folder of shaders") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "wgsl") {
                let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
                files.push((name.to_owned(), format!("{folder}/{name}.wgsl")));
            }
        }
    }
    files.sort();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut faults = Vec::new();
    let mut table = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        if names[..index].contains(&name.as_str()) {
            faults.push(format!("{path}: another file has this name"));
        }
        let text = fs::read_to_string(root.join(path)).expect("a text file");
        // Without comments. A line stays a line, so that faults are told with the right one.
        let bare: Vec<&str> =
            text.lines().map(|line| line.split("// ").next().unwrap_or_default().trim_end()).collect();
        let bare = bare.join("\n");
        if let Err(fault) = syntax::parse(&bare, &|name| names.contains(&name)) {
            faults.push(format!("{path}:{}: {}", fault.line, fault.reason));
        }
        writeln!(table, "    File {{ name: {name:?}, path: {path:?}, text: {bare:?} }},").expect("a line");
    }
    for fault in &faults {
        println!("cargo::error={fault}");
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(folder.join("shaders.rs"), table + "]\n").expect("write the table");
}
