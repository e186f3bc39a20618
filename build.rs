//! Tells tests whether tint, Chromium's compiler of shaders, can be run, and puts the page into the command.

use std::path::Path;
use std::{env, fs, io};

/// Sets `has_tint` where tint is on the path or required: without it the test that needs it is listed as ignored.
fn find_tint() {
    println!("cargo::rustc-check-cfg=cfg(has_tint)");
    println!("cargo::rerun-if-env-changed=OCELLI_REQUIRE_TINT");
    let path = env::var_os("PATH").unwrap_or_default();
    let is_required = env::var("OCELLI_REQUIRE_TINT").is_ok_and(|value| value == "1");
    if is_required || env::split_paths(&path).any(|folder| folder.join("tint").is_file()) {
        println!("cargo::rustc-cfg=has_tint");
    }
}

/// Copies the packed page that `OCELLI_PAGE` names, which `www/pack.mjs` writes, to where `bin/page` includes it. Without the
/// variable the copy is empty, and the command serves no page.
fn embed_page() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=OCELLI_PAGE");
    let packed = match env::var("OCELLI_PAGE") {
        Ok(path) if !path.is_empty() => {
            println!("cargo::rerun-if-changed={path}");
            fs::read(path)?
        }
        _ => Vec::new(),
    };
    let folder = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&folder).join("page.pack"), packed)
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    find_tint();
    embed_page()
}
