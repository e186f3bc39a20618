//! Who may import whom. `src` is read as text: a path into another room is an arrow, and only those drawn here may exist.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a room may import: a room, or some modules of one.
const ARROWS: [(&str, &[&str]); 14] = [
    ("error", &[]),
    ("config", &["error"]),
    ("families", &["error", "config", "chat", "image", "weights"]),
    ("chat", &["error"]),
    ("image", &["error", "config"]),
    ("sampling", &["error", "config"]),
    ("gpu", &["error"]),
    ("weights", &["error", "config", "families", "chat::layout"]),
    (
        "kernels",
        &[
            "error",
            "config",
            "gpu",
            "reference",
            "sampling::options",
            "weights::layout",
            "weights::quant",
            "weights::upload",
        ],
    ),
    ("reference", &[]),
    ("model", &["error", "config", "families", "gpu", "kernels", "weights"]),
    ("engine", &["error", "config", "families", "gpu", "kernels", "weights", "model", "chat", "image", "sampling"]),
    ("api", &["error", "config", "chat", "image", "sampling", "engine"]),
    (
        "web",
        &[
            "error", "config", "families", "gpu", "kernels", "weights", "model", "chat", "image", "sampling", "engine",
            "api",
        ],
    ),
];

/// What single files may import besides.
const EXCEPTIONS: [(&str, &str); 2] = [("weights/upload.rs", "gpu"), ("weights/selection.rs", "gpu")];

/// Words that belong to some places only.
const WORDS: [(&str, &[&str]); 5] = [
    ("wgpu", &["gpu/"]),
    ("wasm_bindgen", &["web/"]),
    ("js_sys", &["web/"]),
    ("web_sys", &["web/"]),
    ("target_arch", &["lib.rs", "web/", "bin/"]),
];

/// Rooms whose files do not import one another in circles.
const ACYCLIC: [&str; 5] = ["config", "families", "chat", "image", "weights"];

/// Longest Rust file.
const MAX_LINES: usize = 400;

/// Every Rust file below `folder`, by its path in it, without comments.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
                sources.insert(name, fs::read_to_string(&path).expect("a text file"));
            }
        }
    }
    sources
}

/// The code alone: no line comments, so that documentation may point anywhere.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What follows every whole word `prefix`.
fn after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let starts = at == 0 || !is_word(code.as_bytes()[at - 1]) && code.as_bytes()[at - 1] != b':';
        starts.then(|| &code[at + prefix.len()..])
    })
}

/// The paths that `text` starts with: one, or those in braces. `{a::b, c::{d, e}}` gives `a::b`, `c::d` and `c::e`.
fn paths(text: &str) -> Vec<String> {
    let word = text.bytes().position(|byte| !is_word(byte)).unwrap_or(text.len());
    let (head, rest) = text.split_at(word);
    if let Some(inner) = rest.strip_prefix("::") {
        let mut tails = paths(inner);
        tails.retain(|tail| !tail.is_empty());
        return if tails.is_empty() {
            vec![head.into()]
        } else {
            tails.into_iter().map(|tail| format!("{head}::{tail}")).collect()
        };
    }
    let Some(inner) = rest.strip_prefix('{').filter(|_| head.is_empty()) else { return vec![head.into()] };
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for character in inner.chars() {
        match character {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(character == '{') - i32::from(character == '}');
                parts.last_mut().expect("one part").push(character);
            }
        }
    }
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).flat_map(paths).collect()
}

/// The crate's paths that a file names, by `crate::` or by climbing out of its room.
fn imports(file: &str, text: &str) -> BTreeSet<String> {
    let code = code(text);
    let inside = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let climb = "super::".repeat(inside.split('/').count());
    // Modules within a file climb less far than it looks; what they reach then bears no room's name.
    let names_a_room = |path: &String| ARROWS.iter().any(|(room, _)| covers(room, path));
    let climbed = after(&code, &climb).flat_map(paths).filter(names_a_room);
    after(&code, "crate::").flat_map(paths).chain(climbed).collect()
}

fn covers(allowed: &str, path: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The arrows of a file that lead where they may not.
fn forbidden(file: &str, text: &str) -> Vec<String> {
    let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{file}: no such room"));
    let excepted = EXCEPTIONS.iter().filter(|(name, _)| *name == file).map(|(_, path)| path);
    let allowed: Vec<_> = allowed.iter().chain(excepted).chain([&room]).collect();
    // What the crate's root hands on under its own name is the error room's.
    let own = |path: &str| allowed.contains(&&"error") && ["Error", "Result"].iter().any(|name| covers(name, path));
    let fine = |path: &String| own(path) || allowed.iter().any(|allowed| covers(allowed, path));
    imports(file, text).into_iter().filter(|path| !fine(path)).collect()
}

/// The files that a file imports, by what the paths in it lead to: modules, and names that a `mod.rs` hands on from one.
fn imported_files(file: &str, sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = code(&sources[file]);
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut found = BTreeSet::new();
    let folders: Vec<&str> = module.split('/').collect();
    for climbed in 1..=folders.len() {
        let base = folders[..folders.len() - climbed].join("::");
        for path in after(&code, &"super::".repeat(climbed)).flat_map(paths) {
            found.extend(files_of(&format!("{base}::{path}"), sources));
        }
    }
    found.extend(after(&code, "crate::").flat_map(paths).flat_map(|path| files_of(&path, sources)));
    found.remove(file);
    found
}

/// The files that hold what a path names: a module, and what a `mod.rs` hands on under that name. A `mod.rs` itself does not count: every
/// file of its folder may lean on it.
fn files_of(path: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
    let mut found = Vec::new();
    for end in (0..=names.len()).rev() {
        let module = names[..end].join("/");
        if sources.contains_key(&format!("{module}.rs")) {
            found.push(format!("{module}.rs"));
            continue;
        }
        let (Some(root), Some(name)) = (sources.get(&format!("{module}/mod.rs")), names.get(end)) else { continue };
        let handed_on = after(root, "use ").flat_map(paths).find(|path| path.rsplit("::").next() == Some(name));
        // A module and a function of one name are both meant; what lies in a module is its own.
        let handed_on = handed_on.filter(|path| path.contains("::") && (found.is_empty() || end + 1 == names.len()));
        found.extend(
            handed_on.into_iter().flat_map(|path| files_of(&format!("{module}/{path}").replace('/', "::"), sources)),
        );
        return found;
    }
    found
}

/// Takes away files that import none of the others until all are gone, or those left import one another.
fn cycle(mut imports: BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    loop {
        let free: Vec<&str> = imports.iter().filter(|(_, of)| of.is_empty()).map(|(file, _)| *file).collect();
        if free.is_empty() {
            return imports.into_iter().map(|(file, of)| format!("{file} -> {of:?}")).collect();
        }
        imports.retain(|file, _| !free.contains(file));
        imports.values_mut().for_each(|of| of.retain(|file| !free.contains(&file.as_str())));
    }
}

/// Files of rooms: all but the root, which re-exports, and the command, which is a crate of its own.
fn in_a_room(file: &str) -> bool {
    file != "lib.rs" && !file.starts_with("bin/")
}

#[test]
fn no_room_imports_what_it_may_not() {
    let sources = sources("src");
    let arrows: Vec<String> = sources
        .iter()
        .filter(|(file, _)| in_a_room(file))
        .flat_map(|(file, text)| forbidden(file, text).into_iter().map(move |path| format!("src/{file} -> {path}")))
        .collect();
    assert!(arrows.is_empty(), "forbidden imports:\n{}", arrows.join("\n"));
    let rooms: BTreeSet<&str> = sources.keys().filter_map(|file| file.split('/').next()).collect();
    assert!(rooms.len() > 8, "only {rooms:?} were read");
}

#[test]
fn platform_code_stays_in_its_rooms() {
    for (file, text) in sources("src") {
        for (word, places) in WORDS {
            let allowed = places.iter().any(|place| file.starts_with(place));
            let found = after(&code(&text), word).any(|rest| !rest.bytes().next().is_some_and(is_word));
            assert!(allowed || !found, "src/{file} says {word}, which belongs to {places:?}");
        }
    }
}

#[test]
fn files_stay_short() {
    for folder in ["src", "tests"] {
        for (file, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{folder}/{file} has {lines} lines, {MAX_LINES} are allowed");
        }
    }
}

#[test]
fn files_do_not_import_one_another() {
    let sources = sources("src");
    let watched = |file: &str| ACYCLIC.iter().any(|room| file.split(['/', '.']).next() == Some(room));
    let files = sources.keys().filter(|file| watched(file) && !file.ends_with("/mod.rs"));
    let imports = files.map(|file| {
        let mut imported = imported_files(file, &sources);
        imported.retain(|file| watched(file));
        (file.as_str(), imported)
    });
    let cycle = cycle(imports.collect());
    assert!(cycle.is_empty(), "files that import one another, or lead to such:\n{}", cycle.join("\n"));
    assert!(imported_files("weights/selection.rs", &sources).contains("families/table.rs"), "names handed on are seen");
}

/// The reader of arrows sees every way to write one.
#[test]
fn a_forbidden_arrow_is_seen() {
    for text in [
        "use crate::gpu::Gpu;",
        "use crate::{error::Error, gpu::{Gpu, Slice}};",
        "use crate::{\n    error,\n    gpu,\n};",
        "fn f(gpu: &crate::gpu::Gpu) {}",
        "use super::super::gpu::Gpu;",
        "let x = (crate::kernels::rope::record)();",
    ] {
        assert!(!forbidden("chat/template.rs", text).is_empty(), "{text}");
    }
    for text in
        ["use crate::error::Result;", "use super::message::Message;", "// crate::gpu", "use crate::{Error, Result};"]
    {
        assert_eq!(forbidden("chat/template.rs", text), Vec::<String>::new(), "{text}");
    }
    assert!(!forbidden("weights/quant.rs", "use crate::gpu::Gpu;").is_empty());
    assert!(forbidden("weights/upload.rs", "use crate::gpu::Gpu;").is_empty());
    assert!(!forbidden("kernels/rope.rs", "use crate::weights::hf;").is_empty());
    assert!(!forbidden("chat/mod.rs", "use super::gpu::Gpu;").is_empty());
}
