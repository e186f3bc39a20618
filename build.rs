//! Tells tests whether tint, Chromium's compiler of shaders, can be run.

use std::env;

/// Sets `has_tint` where tint is on the path or required: without it the test that needs it is listed as ignored.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(has_tint)");
    println!("cargo::rerun-if-env-changed=OCELLI_REQUIRE_TINT");
    let path = env::var_os("PATH").unwrap_or_default();
    let is_required = env::var("OCELLI_REQUIRE_TINT").is_ok_and(|value| value == "1");
    if is_required || env::split_paths(&path).any(|folder| folder.join("tint").is_file()) {
        println!("cargo::rustc-cfg=has_tint");
    }
}
