//! Imports between rooms. Sources are read as text: a path into another room is an arrow, and only the listed arrows may exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod arrows;

use arrows::{ARROWS, Arrows, COMMAND, CRATES, FAMILY_ARROWS, MAX_ROOM_LINES, WINGS, WORDS};

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
fn imports(arrows: Arrows, file: &str, text: &str) -> BTreeSet<String> {
    let code = code(text);
    let inside = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let climb = "super::".repeat(inside.split('/').count());
    // Modules within a file leave fewer modules than the path suggests; the resulting path names no room.
    let names_a_room = |path: &String| arrows.iter().any(|(room, _)| covers(room, path));
    let climbed = after(&code, &climb).flat_map(paths).filter(names_a_room);
    after(&code, "crate::").flat_map(paths).chain(climbed).collect()
}

fn covers(allowed: &str, path: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The forbidden arrows of a file.
fn forbidden(arrows: Arrows, file: &str, text: &str) -> Vec<String> {
    let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let (_, allowed) = arrows.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{file}: no such room"));
    let allowed: Vec<_> = allowed.iter().chain([&room]).collect();
    // `Error` and `Result` re-exported by the crate's root belong to the error room.
    let own = |path: &str| allowed.contains(&&"error") && ["Error", "Result"].iter().any(|name| covers(name, path));
    let fine = |path: &String| own(path) || allowed.iter().any(|allowed| covers(allowed, path));
    imports(arrows, file, text).into_iter().filter(|path| !fine(path)).collect()
}

/// Files of rooms: all but the root of a crate.
fn in_a_room(file: &str) -> bool {
    !["lib.rs", "main.rs"].contains(&file)
}

/// Files of `folder` that import rooms which `arrows` does not list.
fn faults(folder: &str, arrows: Arrows) -> Vec<String> {
    let files = sources(folder);
    let faults = |(file, text): (&String, &String)| {
        let paths = forbidden(arrows, file, text).into_iter();
        paths.map(|path| format!("{folder}/{file} -> {path}")).collect::<Vec<_>>()
    };
    files.iter().filter(|(file, _)| in_a_room(file)).flat_map(faults).collect()
}

#[test]
fn no_room_imports_what_it_may_not() {
    let arrows = [faults("src", &ARROWS), faults("bin", &COMMAND)].concat();
    assert!(arrows.is_empty(), "forbidden imports:\n{}", arrows.join("\n"));
    for (folder, rooms) in [("src", &ARROWS[..]), ("bin", &COMMAND)] {
        let files = sources(folder);
        for (room, _) in rooms {
            let is_of_room = |file: &String| file.strip_prefix(room).is_some_and(|rest| rest.starts_with(['/', '.']));
            assert!(files.keys().any(is_of_room), "{folder} has no room {room}");
        }
    }
}

/// Rooms that can be reached from themselves.
fn room_circles(arrows: Arrows) -> Vec<String> {
    let next = |room: &str| {
        let found = arrows.iter().find(|(name, _)| *name == room);
        found.into_iter().flat_map(|(_, list)| *list).map(|path| path.split("::").next().unwrap_or_default().to_owned())
    };
    let reaches_itself = |start: &str| {
        let mut seen: BTreeSet<String> = next(start).collect();
        let mut open: Vec<String> = seen.iter().cloned().collect();
        while let Some(room) = open.pop() {
            open.extend(next(&room).filter(|room| seen.insert(room.clone())));
        }
        seen.contains(start)
    };
    arrows.iter().filter(|(room, _)| reaches_itself(room)).map(|(room, _)| (*room).to_owned()).collect()
}

#[test]
fn rooms_form_no_circle() {
    assert_eq!(room_circles(&ARROWS), Vec::<String>::new());
    assert_eq!(room_circles(&COMMAND), Vec::<String>::new());
    assert_eq!(room_circles(&[("a", &["b::c"]), ("b", &["a"]), ("d", &["a"])]), ["a", "b"]);
}

#[test]
fn families_import_one_another_only_where_listed() {
    let files = sources("src/families");
    let names: BTreeSet<&str> = files.keys().filter_map(|file| Some(file.split_once('/')?.0)).collect();
    assert!(names.len() > 4, "only {names:?} were read");
    for (file, text) in &files {
        let Some((family, _)) = file.split_once('/') else { continue };
        let code = code(text);
        let climbed = after(&code, "super::super::").flat_map(paths);
        let named = after(&code, "crate::families::").flat_map(paths).chain(climbed);
        for path in named {
            let other = path.split("::").next().unwrap_or_default();
            let is_allowed = other == family || FAMILY_ARROWS.contains(&(family, other));
            assert!(is_allowed || !names.contains(other), "src/families/{file} -> families::{path}");
        }
    }
}

#[test]
fn no_room_grows_too_large() {
    let mut rooms: BTreeMap<String, usize> = BTreeMap::new();
    for folder in ["src", "bin"] {
        for (file, text) in sources(folder) {
            let path = format!("{folder}/{file}");
            let wing = WINGS.iter().find(|wing| path.strip_prefix(**wing).is_some_and(|rest| rest.starts_with('/')));
            let depth = wing.map_or(2, |wing| wing.split('/').count() + 1);
            let parts: Vec<&str> = path.split('/').collect();
            // A file beside the folders of a wing belongs to the wing itself.
            let depth = if parts.len() > depth { depth } else { parts.len() - 1 };
            *rooms.entry(parts[..depth].join("/")).or_default() += text.lines().count();
        }
    }
    rooms.remove("src/kernels");
    let large: Vec<_> = rooms.iter().filter(|(_, lines)| **lines > MAX_ROOM_LINES).collect();
    assert!(large.is_empty(), "rooms of more than {MAX_ROOM_LINES} lines: {large:?}");
    assert!(rooms.len() > 30, "only {rooms:?} were read");
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
    for folder in CRATES {
        let circles = circles(&sources(folder));
        assert!(circles.is_empty(), "{folder}: {} files in circles:\n{}", circles.len(), circles.join("\n"));
    }
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
    for folder in ["src", "bin", "tests", "benches", "fuzz/src", "grammar", "pictures", "synth", "wasm"] {
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
        assert!(!forbidden(&ARROWS, "chat/template.rs", text).is_empty(), "{text}");
    }
    for text in
        ["use crate::error::Result;", "use super::message::Message;", "// crate::gpu", "use crate::{Error, Result};"]
    {
        assert_eq!(forbidden(&ARROWS, "chat/template.rs", text), Vec::<String>::new(), "{text}");
    }
    assert!(!forbidden(&ARROWS, "layout/quant.rs", "use crate::gpu::Gpu;").is_empty());
    assert!(forbidden(&ARROWS, "package/upload.rs", "use crate::gpu::Gpu;").is_empty());
    assert!(!forbidden(&ARROWS, "kernels/rope.rs", "use crate::import::hf;").is_empty());
    assert!(!forbidden(&ARROWS, "chat/mod.rs", "use super::gpu::Gpu;").is_empty());
}
