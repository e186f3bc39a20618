//! Gives the crate the demo model's tokenizer.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // A published crate has the file itself.
    let mut file = root.join("tokenizer.json");
    if !file.is_file() {
        file = root.join("../www/models/demo/tokenizer.json");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", file.display());
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(folder.join("tokenizer.json"), fs::read(file)?)
}
