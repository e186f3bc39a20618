//! Imports between rooms. `src` is read as text: a path into another room is an arrow, and only the listed arrows may exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Allowed imports of a room: rooms, or some modules of a room.
const ARROWS: [(&str, &[&str]); 24] = [
    ("error", &[]),
    ("config", &["error"]),
    ("layout", &["error"]),
    ("chat", &["error"]),
    ("image", &["error", "config"]),
    ("sampling", &["error", "config"]),
    ("grammar", &["error", "chat"]),
    ("shader", &["error"]),
    ("gpu", &["error", "shader"]),
    ("weights", &["error", "gpu", "layout"]),
    ("reference", &["config", "sampling::options"]),
    ("kernels", &["error", "config", "gpu", "layout", "reference", "sampling::options", "shader", "weights"]),
    ("state", &["error", "config", "gpu", "kernels"]),
    ("layers", &["error", "config", "gpu", "kernels", "layout", "state", "weights"]),
    ("checkpoint", &["error", "config"]),
    (
        "families",
        &[
            "error",
            "config",
            "chat",
            "checkpoint",
            "image",
            "gpu",
            "kernels",
            "layers",
            "layout",
            "sampling",
            "weights",
        ],
    ),
    ("package", &["error", "families", "gpu", "layout", "sampling", "weights"]),
    ("import", &["error", "config", "chat::layout", "checkpoint", "families", "layout", "package", "sampling"]),
    ("model", &["error", "config", "families", "gpu", "kernels", "layers", "package", "sampling", "state", "weights"]),
    ("memory", &["error", "config", "families", "gpu", "kernels", "layers", "model", "package", "sampling", "state"]),
    (
        "engine",
        &[
            "error", "config", "families", "gpu", "kernels", "layers", "layout", "memory", "package", "model", "chat",
            "image", "sampling", "state", "grammar", "weights",
        ],
    ),
    ("api", &["error", "config", "chat", "image", "sampling", "grammar", "engine"]),
    (
        "bench",
        &[
            "error", "config", "families", "gpu", "kernels", "layout", "package", "model", "chat", "image", "sampling",
            "engine",
        ],
    ),
    ("build", &["shader"]),
];

/// Words that are restricted to some places.
const WORDS: [(&str, &[&str]); 5] = [
    ("wgpu", &["gpu/"]),
    ("wasm_bindgen", &["chat/pattern/browser.rs"]),
    ("js_sys", &["chat/nfc.rs", "chat/pattern/browser.rs"]),
    ("web_sys", &[]),
    ("target_arch", &["chat/nfc.rs", "chat/pattern/mod.rs", "gpu/threads.rs"]),
];

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

/// The code without line comments, so that documentation may link to anything.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The text after every whole word `prefix`.
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
    // Modules within a file leave fewer modules than the path suggests; the resulting path names no room.
    let names_a_room = |path: &String| ARROWS.iter().any(|(room, _)| covers(room, path));
    let climbed = after(&code, &climb).flat_map(paths).filter(names_a_room);
    after(&code, "crate::").flat_map(paths).chain(climbed).collect()
}

fn covers(allowed: &str, path: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The forbidden arrows of a file.
fn forbidden(file: &str, text: &str) -> Vec<String> {
    let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{file}: no such room"));
    let allowed: Vec<_> = allowed.iter().chain([&room]).collect();
    // `Error` and `Result` re-exported by the crate's root belong to the error room.
    let own = |path: &str| allowed.contains(&&"error") && ["Error", "Result"].iter().any(|name| covers(name, path));
    let fine = |path: &String| own(path) || allowed.iter().any(|allowed| covers(allowed, path));
    imports(file, text).into_iter().filter(|path| !fine(path)).collect()
}

/// Files of rooms: all but the root, which re-exports, and the command, which is a crate of its own.
fn in_a_room(file: &str) -> bool {
    file != "lib.rs"
}

#[test]
fn rooms_import_only_allowed_rooms() {
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

/// The file that a path below `crate::` refers to, `None` outside the crate. A re-export of a `mod.rs` refers to the defining file.
fn target(sources: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let mut folder = String::new();
    for name in path.split("::") {
        let file = format!("{folder}{name}.rs");
        if sources.contains_key(&file) {
            return Some(file);
        }
        let module = format!("{folder}{name}/mod.rs");
        if sources.contains_key(&module) {
            folder = format!("{folder}{name}/");
            continue;
        }
        let module = format!("{folder}mod.rs");
        let code = code(sources.get(&module)?);
        let handed_on = after(&code, "pub use ").chain(after(&code, "pub(crate) use ")).flat_map(paths);
        let mut from = handed_on.filter(|path| path.rsplit("::").next() == Some(name) && path.contains("::"));
        let own = from.find_map(|path| {
            target(sources, path.strip_prefix("crate::").unwrap_or(&format!("{}{path}", folder.replace('/', "::"))))
        });
        return Some(own.unwrap_or(module));
    }
    sources.contains_key(&format!("{folder}mod.rs")).then(|| format!("{folder}mod.rs"))
}

/// The files that a file imports, `mod.rs` files left out.
fn imported(sources: &BTreeMap<String, String>, file: &str) -> BTreeSet<String> {
    let code = code(&sources[file]);
    let mut found: BTreeSet<String> =
        after(&code, "crate::").flat_map(paths).filter_map(|path| target(sources, &path)).collect();
    let inside = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let folders: Vec<&str> = inside.split('/').collect();
    for climb in 1..=folders.len() {
        let prefix = "super::".repeat(climb);
        let base: String = folders[..folders.len() - climb].iter().map(|folder| format!("{folder}::")).collect();
        let climbed = after(&code, &prefix).flat_map(paths).filter(|path| !path.starts_with("super"));
        found.extend(climbed.filter_map(|path| target(sources, &format!("{base}{path}"))));
    }
    found.retain(|other| other != file && !other.ends_with("mod.rs"));
    found
}

/// Files that can be reached from themselves, each with the way around.
fn circles(sources: &BTreeMap<String, String>) -> Vec<String> {
    let files = sources.keys().filter(|file| !file.ends_with("mod.rs") && in_a_room(file));
    let arrows: BTreeMap<&str, BTreeSet<String>> = files.map(|file| (file.as_str(), imported(sources, file))).collect();
    let mut circles = Vec::new();
    for start in arrows.keys() {
        let mut ways = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for next in way.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
                if next == start {
                    circles.push(format!("{} -> {start}", way.join(" -> ")));
                    ways.clear();
                    break;
                }
                if seen.insert(next.as_str()) {
                    ways.push(way.iter().copied().chain([next.as_str()]).collect());
                }
            }
        }
    }
    circles
}

#[test]
fn files_import_one_another_in_no_circle() {
    let sources = sources("src");
    let circles = circles(&sources);
    assert!(circles.is_empty(), "{} files in circles:\n{}", circles.len(), circles.join("\n"));
    let two = |a: &str, b: &str| {
        BTreeMap::from([
            ("x/a.rs".to_owned(), a.to_owned()),
            ("x/b.rs".into(), b.into()),
            ("x/mod.rs".into(), "pub use b::B;".into()),
        ])
    };
    assert_eq!(circles_of(&two("use super::b::B;", "use crate::x::a::A;")), 2);
    assert_eq!(circles_of(&two("use super::B;", "use super::a::A;")), 2, "through what a room hands on");
    assert_eq!(circles_of(&two("use super::b::B;", "")), 0);
}

fn circles_of(sources: &BTreeMap<String, String>) -> usize {
    circles(sources).len()
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
    for folder in ["src", "tests", "grammar", "pictures", "wasm"] {
        for (file, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{folder}/{file} has {lines} lines, {MAX_LINES} are allowed");
        }
    }
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
    assert!(!forbidden("kernels/rope.rs", "use crate::import::hf;").is_empty());
    assert!(!forbidden("chat/mod.rs", "use super::gpu::Gpu;").is_empty());
}
