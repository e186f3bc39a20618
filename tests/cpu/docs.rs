//! Links between documents lead to files and headings that exist, and commands of `build.sh` are in its help.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders without files of this repository.
const FOREIGN: [&str; 5] = ["target", "node_modules", "dist", ".git", ".tools"];

/// Every Markdown file below `folder`.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_ours = |path: &PathBuf| FOREIGN.iter().all(|name| !path.ends_with(name)) && !path.is_symlink();
    let below = |path: PathBuf| match path.is_dir() {
        true => documents(&path),
        false => Vec::from_iter(path.extension().is_some_and(|extension| extension == "md").then_some(path)),
    };
    paths.filter(is_ours).flat_map(below).collect()
}

/// The text without code, in which brackets are no links.
fn prose(text: &str) -> String {
    let outside_blocks = text.split("```").step_by(2).collect::<String>();
    outside_blocks.split('`').step_by(2).collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    ends.map(str::to_owned).collect()
}

/// The name by which a link leads to a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The fault of a link in the document `from`; `None` for external links.
fn fault(from: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = if file.is_empty() { from.to_owned() } else { from.parent().expect("a folder").join(file) };
    let exists = match heading {
        None => target.exists(),
        Some(heading) => fs::read_to_string(&target)
            .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)),
    };
    (!exists).then(|| format!("{}: {link}", from.display()))
}

#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = documents(root).into_iter().map(|path| (fs::read_to_string(&path).expect("a text file"), path));
    let links: Vec<_> =
        texts.flat_map(|(text, path)| links(&text).into_iter().map(move |l| (path.clone(), l))).collect();
    let broken: Vec<_> = links.iter().filter_map(|(path, link)| fault(path, link)).collect();
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(links.len() > 30, "only {} links were read", links.len());
}

#[test]
fn a_broken_link_is_seen() {
    let readme = &Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    assert_eq!(links("[a](b.md), [c](d.md#e-f) `[g](h)`"), ["b.md", "d.md#e-f"]);
    assert_eq!(anchor("## On the `command` line, 1."), "on-the-command-line-1");
    for fine in ["docs/testing.md", "#on-the-command-line", "docs/testing.md#by-hand", "https://example.invalid/x"] {
        assert_eq!(fault(readme, fine), None);
    }
    for broken in ["docs/nothing.md", "#nothing", "docs/testing.md#nothing"] {
        assert!(fault(readme, broken).is_some(), "{broken}");
    }
}

#[test]
fn decisions_are_numbered_without_holes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let mut documents = documents(&folder);
    documents.sort();
    for (number, path) in (1..).zip(&documents) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should be number {number}");
        let text = fs::read_to_string(path).expect("a text file");
        assert!(text.starts_with(&format!("# {number}. ")), "{name} has another number in its heading");
    }
}

/// The words of each command of the build script in the text, up to the first that is neither a verb nor an option.
fn verbs(text: &str) -> Vec<String> {
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
    let verb = |rest: &str| {
        let line = rest.split(['\n', '`', '#', '(', ')']).next().unwrap_or_default();
        let mut words = line.split_whitespace().take_while(is_word);
        let first = words.next()?.trim_end_matches([',', '.', ';', ':']);
        Some(match words.next() {
            Some(option) if option.starts_with("--") => format!("{first} {option}"),
            _ => first.to_owned(),
        })
    };
    text.split("./build.sh ").skip(1).filter_map(verb).collect()
}

/// The rows of the help of the build script.
fn help() -> Vec<String> {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh")).expect("the script");
    let text = script.split("TEXT").nth(1).expect("a text between two marks");
    text.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| format!("{line} ")).collect()
}

/// True if the help has a row that begins with these words.
fn is_in_help(help: &[String], verb: &str) -> bool {
    help.iter().any(|row| row.starts_with(&format!("{verb} ")))
}

#[test]
fn verbs_of_the_build_script_are_in_its_help() {
    let (root, help) = (Path::new(env!("CARGO_MANIFEST_DIR")), help());
    let named = |path: PathBuf| verbs(&fs::read_to_string(path).expect("a text file"));
    let readme = named(root.join("README.md"));
    assert_eq!(readme, ["serve", "test", "build"]);
    let all: Vec<_> = documents(root).into_iter().flat_map(named).collect();
    assert!(all.len() > 30, "only {} verbs were read", all.len());
    let unknown: Vec<_> = all.iter().filter(|verb| !is_in_help(&help, verb)).collect();
    assert!(unknown.is_empty(), "./build.sh has no {unknown:?}");
    let script = fs::read_to_string(root.join("build.sh")).expect("the script");
    let verbs = help.iter().filter_map(|row| row.split(' ').next()).filter(|verb| !verb.is_empty());
    let missing: Vec<_> = verbs.filter(|verb| !script.contains(&format!("\n    {verb}) "))).collect();
    assert!(missing.is_empty(), "the help has {missing:?}, which ./build.sh does not know");
}

#[test]
fn an_unknown_verb_is_seen() {
    assert_eq!(verbs("`./build.sh bench --model [PKG]` and `./build.sh nothing`"), ["bench --model", "nothing"]);
    assert!(is_in_help(&help(), "bench --model"));
    assert!(!is_in_help(&help(), "nothing") && !is_in_help(&help(), "bench --nothing"));
}
