//! A disk after a power failure: it has everything that was synced, and any part of what was not.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ocelli::kernels::cases::Random;

/// Bytes that a disk writes at once: a write that was not synced may be there in part.
const PAGE: usize = 4096;

/// Index of a file or folder in a [`Disk`].
type Node = usize;

/// A step of the recorded processes, or of their observer.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A change of the names of one folder, or of two.
    Names(Vec<Name>),
    Write {
        node: Node,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        node: Node,
        bytes: usize,
    },
    Sync(Node),
    /// Something that the observer was told.
    Told(String),
}

/// A name in a folder, and what it stands for from now on.
#[derive(Debug, Clone)]
pub(super) struct Name {
    folder: Node,
    name: String,
    node: Option<Node>,
}

#[derive(Debug, Clone)]
enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<String, Node>),
}

/// Effect of a power failure on changes that were not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// They are all there: the process alone was killed.
    Nothing,
    Everything,
    /// Each is there or not.
    Any,
}

/// The state before a record, and the steps in it.
#[derive(Debug)]
pub(super) struct Disk {
    before: Vec<Content>,
    pub(super) steps: Vec<Step>,
    /// The current file or folder of each inode.
    inodes: HashMap<u64, Node>,
}

impl Disk {
    /// The state of a folder, all of which is on disk.
    pub(super) fn of(root: &Path) -> Self {
        let mut disk = Self { before: Vec::new(), steps: Vec::new(), inodes: HashMap::new() };
        disk.add(root);
        disk
    }

    fn add(&mut self, path: &Path) -> Node {
        let node = self.before.len();
        self.inodes.insert(fs::metadata(path).expect("a file").ino(), node);
        self.before.push(Content::File(Vec::new()));
        self.before[node] = if path.is_dir() {
            let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry"));
            let names: Vec<_> = entries.map(|entry| (entry.file_name(), entry.path())).collect();
            let named = names.iter().map(|(name, path)| (name.to_string_lossy().into_owned(), self.add(path)));
            Content::Folder(named.collect())
        } else {
            Content::File(fs::read(path).expect("a file"))
        };
        node
    }

    /// Reads a record of `recorder.c`, with lines `A text` of the observer.
    pub(super) fn read(&mut self, mut record: &[u8]) {
        while let Some(end) = record.iter().position(|byte| *byte == b'\n') {
            let head = std::str::from_utf8(&record[..end]).expect("text").to_owned();
            record = &record[end + 1..];
            let (kind, rest) = head.split_once(' ').expect("a kind of step");
            let step = if kind == "W" {
                let [inode, at, length] = numbers(rest);
                let bytes = record[..length as usize].to_vec();
                record = &record[length as usize..];
                Step::Write { node: self.node(inode), at: at as usize, bytes }
            } else {
                self.step(kind, rest)
            };
            self.steps.push(step);
        }
        assert!(record.is_empty(), "half a record");
    }

    fn node(&self, inode: u64) -> Node {
        *self.inodes.get(&inode).unwrap_or_else(|| panic!("inode {inode}"))
    }

    fn step(&mut self, kind: &str, rest: &str) -> Step {
        let place = |disk: &Self, text: &str| {
            let (folder, name) = text.split_once(' ').expect("a folder and a name");
            (disk.node(folder.parse().expect("an inode")), name.to_owned())
        };
        match kind {
            "A" => Step::Told(rest.into()),
            "S" => Step::Sync(self.node(numbers::<1>(rest)[0])),
            "T" => {
                let [inode, bytes] = numbers(rest);
                Step::Cut { node: self.node(inode), bytes: bytes as usize }
            }
            "N" => {
                let parts: Vec<&str> = rest.splitn(4, ' ').collect();
                let node = self.before.len();
                self.before.push(match parts[2] {
                    "d" => Content::Folder(BTreeMap::new()),
                    _ => Content::File(Vec::new()),
                });
                let folder = self.node(parts[0].parse().expect("an inode"));
                self.inodes.insert(parts[1].parse().expect("an inode"), node);
                Step::Names(vec![Name { folder, name: parts[3].into(), node: Some(node) }])
            }
            "U" => {
                let (folder, name) = place(self, rest);
                Step::Names(vec![Name { folder, name, node: None }])
            }
            "R" => {
                let parts: Vec<&str> = rest.splitn(5, ' ').collect();
                let [from, to, inode, other] = numbers(&parts[..4].join(" "));
                let (source, target) = parts[4].split_once(" / ").expect("two names");
                let other = (other > 0).then(|| self.node(other));
                let moved = Name { folder: self.node(to), name: target.into(), node: Some(self.node(inode)) };
                Step::Names(vec![moved, Name { folder: self.node(from), name: source.into(), node: other }])
            }
            other => panic!("a step {other:?}"),
        }
    }

    /// Everything that the observer was told before a step.
    pub(super) fn told(&self, point: usize) -> impl Iterator<Item = &str> {
        self.steps[..point].iter().filter_map(|step| match step {
            Step::Told(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Writes the state after a power failure before step `point` into the empty folder `to`.
    pub(super) fn restore(&self, point: usize, loss: Loss, random: &mut Random, to: &Path) {
        let mut contents = self.before.clone();
        let mut unsynced: Vec<&Step> = Vec::new();
        for step in &self.steps[..point] {
            match step {
                Step::Told(_) => {}
                Step::Sync(node) => {
                    let (synced, others): (Vec<_>, Vec<_>) =
                        unsynced.into_iter().partition(|step| concerns(step, *node));
                    unsynced = others;
                    synced.into_iter().for_each(|step| apply(&mut contents, step));
                }
                step => unsynced.push(step),
            }
        }
        for step in unsynced {
            match loss {
                Loss::Nothing => apply(&mut contents, step),
                Loss::Everything => {}
                Loss::Any => apply_in_part(&mut contents, step, random),
            }
        }
        write(&contents, 0, to);
    }
}

fn numbers<const N: usize>(text: &str) -> [u64; N] {
    let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{text:?}"))
}

/// Returns true if a sync of `node` writes a step to disk.
fn concerns(step: &Step, synced: Node) -> bool {
    match step {
        Step::Names(names) => names.iter().any(|name| name.folder == synced),
        Step::Write { node, .. } | Step::Cut { node, .. } => *node == synced,
        Step::Sync(_) | Step::Told(_) => false,
    }
}

fn file(contents: &mut [Content], node: Node) -> &mut Vec<u8> {
    match &mut contents[node] {
        Content::File(bytes) => bytes,
        Content::Folder(_) => panic!("a folder is written"),
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply(contents: &mut [Content], step: &Step) {
    match step {
        Step::Names(names) => {
            for Name { folder, name, node } in names {
                let Content::Folder(entries) = &mut contents[*folder] else { panic!("a name in a file") };
                match node {
                    Some(node) => entries.insert(name.clone(), *node),
                    None => entries.remove(name),
                };
            }
        }
        Step::Write { node, at, bytes } => put(file(contents, *node), *at, bytes),
        Step::Cut { node, bytes } => file(contents, *node).resize(*bytes, 0),
        Step::Sync(_) | Step::Told(_) => {}
    }
}

/// Applies a step or not; of a write, some of its pages, which may leave zeros in place of others.
fn apply_in_part(contents: &mut [Content], step: &Step, random: &mut Random) {
    let mut is_there = || random.bits().is_multiple_of(2);
    let Step::Write { node, at, bytes } = step else {
        if is_there() {
            apply(contents, step);
        }
        return;
    };
    let file = file(contents, *node);
    if is_there() {
        // The length alone.
        file.resize(file.len().max(at + bytes.len()), 0);
    }
    let mut from = 0;
    while from < bytes.len() {
        let end = bytes.len().min((at + from) / PAGE * PAGE + PAGE - at);
        if is_there() {
            put(file, at + from, &bytes[from..end]);
        }
        from = end;
    }
}

fn write(contents: &[Content], node: Node, to: &Path) {
    match &contents[node] {
        Content::File(bytes) => fs::write(to, bytes).expect("a file"),
        Content::Folder(entries) => {
            fs::create_dir_all(to).expect("a folder");
            entries.iter().for_each(|(name, node)| write(contents, *node, &to.join(name)));
        }
    }
}
