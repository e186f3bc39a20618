//! Interrupted imports resume, and the package is the same to the bit.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex};

use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::layouts::Layouts;
use ocelli::import::{ImportOptions, Progress, hf};
use ocelli::layout::Layout;
use ocelli::package::source::{ByteSource, FileSet};
use ocelli::package::writer::{PackageSink, PackageWriter};
use ocelli::{Error, Result};

use super::common::{checkpoint, options, with_json, with_weights};
use super::gguf::{both, text_files};
use crate::common::{MemoryFiles, MemorySource};

/// Stored files, which outlive an interruption, and the number of writes.
#[derive(Clone, Default, PartialEq, Debug)]
struct Stored {
    files: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<String, Vec<u8>>,
    checkpoint: Option<Vec<u8>>,
    published: bool,
    writes: usize,
}

/// A sink that ends an import at one of its writes.
#[derive(Clone, Default)]
struct Journal {
    stored: Arc<Mutex<Stored>>,
    kill_at: Option<usize>,
}

impl Journal {
    fn write(&self, act: impl FnOnce(&mut Stored)) -> Result<()> {
        let mut stored = self.stored.lock().expect("no panic");
        if self.kill_at == Some(stored.writes) {
            return Err(Error::Io { path: "journal".into(), reason: "killed".into() });
        }
        stored.writes += 1;
        act(&mut stored);
        Ok(())
    }

    fn stored(&self) -> Stored {
        self.stored.lock().expect("no panic").clone()
    }
}

impl PackageSink for Journal {
    const RESUMABLE: bool = true;

    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        self.write(|stored| drop(stored.files.insert(file.into(), bytes)))
    }

    async fn publish(&mut self) -> Result<()> {
        self.write(|stored| {
            stored.parts.clear();
            stored.checkpoint = None;
            stored.published = true;
        })
    }

    async fn put_part(&mut self, part: &str, bytes: &[u8]) -> Result<()> {
        self.write(|stored| drop(stored.parts.insert(part.into(), bytes.to_vec())))
    }

    async fn get_part(&mut self, part: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.stored().parts.get(part).cloned())
    }

    async fn put_checkpoint(&mut self, checkpoint: Vec<u8>, parts: &[&str]) -> Result<()> {
        self.write(|stored| {
            stored.checkpoint = Some(checkpoint);
            stored.parts.retain(|part, _| parts.contains(&part.as_str()));
        })
    }

    async fn get_checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.stored().checkpoint)
    }
}

/// A read: file and bytes.
type Read = (String, Range<u64>);

/// Files that record all reads.
struct Watched {
    files: MemoryFiles,
    reads: Arc<Mutex<Vec<Read>>>,
}

struct WatchedSource {
    source: MemorySource,
    reads: Arc<Mutex<Vec<Read>>>,
}

impl FileSet for Watched {
    type Source = WatchedSource;

    async fn open(&self, name: &str) -> Result<Option<WatchedSource>> {
        let source = self.files.open(name).await?;
        Ok(source.map(|source| WatchedSource { source, reads: self.reads.clone() }))
    }
}

impl ByteSource for WatchedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    async fn len(&self) -> Result<u64> {
        self.source.len().await
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        self.reads.lock().expect("no panic").push((self.name().into(), range.clone()));
        self.source.read(range).await
    }
}

/// Something to import.
#[derive(Clone)]
struct Subject {
    name: &'static str,
    files: MemoryFiles,
    gguf: Option<GgufImport>,
    layouts: Layouts,
    shard_bytes: usize,
}

/// Result of an import.
struct Run {
    outcome: Result<()>,
    reads: Vec<Read>,
    progress: Vec<Progress>,
}

impl Run {
    fn bytes(&self) -> u64 {
        self.reads.iter().map(|(_, range)| range.end - range.start).sum()
    }
}

impl Subject {
    /// Imports until this many reports of progress.
    fn run_for(&self, sink: Journal, reports: usize) -> Run {
        let watched = Watched { files: self.files.clone(), reads: Arc::default() };
        let writer = PackageWriter::with_shard_bytes(sink, self.shard_bytes);
        let mut progress = Vec::new();
        let report = |at: Progress| {
            progress.push(at);
            if progress.len() > reports { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = pollster::block_on(async {
            match &self.gguf {
                Some(import) => {
                    let options = ImportOptions { layouts: self.layouts, ..ImportOptions::default() };
                    gguf::import(&watched, import, writer, options, report).await
                }
                None => {
                    hf::import(
                        &watched,
                        writer,
                        ImportOptions { layouts: self.layouts, ..options(Layout::F32) },
                        report,
                    )
                    .await
                }
            }
        });
        let reads = watched.reads.lock().expect("no panic").clone();
        Run { outcome: outcome.map(drop), reads, progress }
    }

    fn run(&self, sink: &Journal) -> Run {
        self.run_for(sink.clone(), usize::MAX)
    }
}

fn directory(name: &'static str, layout: Layout, shard_bytes: usize) -> Subject {
    Subject { name, files: checkpoint(name), gguf: None, layouts: layout.into(), shard_bytes }
}

fn gguf_pair(name: &'static str, shard_bytes: usize) -> Subject {
    Subject { name, files: text_files(name, |_| ()), gguf: Some(both()), layouts: Layout::F16.into(), shard_bytes }
}

/// An embedding that takes several steps, in a layout whose other planes are written much later.
fn large_gguf() -> Subject {
    const ROWS: usize = 9001;
    let files = text_files("q6_k", |parts| {
        let embedding = parts.tensor("token_embd.weight");
        assert_eq!((embedding.kind, embedding.dims[0]), (14, 256));
        embedding.data = embedding.data.iter().copied().cycle().take(ROWS * 210).collect();
        embedding.dims[1] = ROWS as u64;
    });
    Subject { name: "large q6_k", files, gguf: Some(both()), layouts: Layout::F16.into(), shard_bytes: 200_000 }
}

fn large_directory() -> Subject {
    const ROWS: usize = 34_001;
    let weights = with_weights("text_long", |parts| {
        let old = parts.range("model.embed_tokens.weight");
        assert_eq!(old.start, 0);
        let embedding: Vec<u8> = parts.data[old.clone()].iter().copied().cycle().take(ROWS * 64 * 4).collect();
        let grown = embedding.len() - old.end;
        parts.data.splice(old.clone(), embedding);
        for entry in parts.header.values_mut().filter(|entry| entry.get("data_offsets").is_some()) {
            for offset in entry["data_offsets"].as_array_mut().expect("offsets") {
                let moved = offset.as_u64().filter(|&at| at > 0).map_or(0, |at| at + grown as u64);
                *offset = moved.into();
            }
        }
        parts.header["model.embed_tokens.weight"]["shape"][0] = ROWS.into();
    });
    let mut files = with_json("text_long", "config.json", |config| config["vocab_size"] = ROWS.into());
    files.0.insert("model.safetensors".into(), weights.0["model.safetensors"].clone());
    Subject { name: "large text", files, gguf: None, layouts: Layout::Q8_0.into(), shard_bytes: 400_000 }
}

fn subjects() -> Vec<Subject> {
    vec![
        directory("small31", Layout::Q4_0, 20_000),
        directory("fp8", Layout::Q8_0, 30_000),
        directory("tied_two_images", Layout::F32, 500_000),
        gguf_pair("mixed", 50_000),
        gguf_pair("q5_k", 4096 * 5),
        Subject { name: "compact", layouts: Layouts::COMPACT, ..gguf_pair("q6_k", 40_000) },
        large_gguf(),
        large_directory(),
    ]
}

/// A complete import: stored files, reads, and the most bytes read for a single shard.
fn whole(subject: &Subject) -> (Stored, Run, u64) {
    let sink = Journal::default();
    let run = subject.run(&sink);
    run.outcome.clone().expect(subject.name);
    let stored = sink.stored();
    assert!(stored.published && stored.parts.is_empty() && stored.checkpoint.is_none(), "{}", subject.name);
    let shards = stored.files.keys().filter(|file| file.starts_with("shard-")).count() as u64;
    assert!(shards > 4, "{}: {shards} shards", subject.name);
    // The bytes of one read and of a shard; no source is smaller than half of its result.
    let chunk = run.reads.iter().map(|(_, range)| range.end - range.start).max().expect("a read");
    (stored, run, chunk + 4 * subject.shard_bytes as u64)
}

#[test]
fn killed_at_every_write_it_ends_in_the_same_bytes() {
    for subject in subjects() {
        let (expected, uninterrupted, one_shard) = whole(&subject);
        // Reads of every start: headers, settings, scales.
        let start = subject.run_for(Journal::default(), 0).bytes();
        assert!(start < uninterrupted.bytes());
        let mut resumed = 0;
        for kill_at in 0..expected.writes {
            let mut sink = Journal { kill_at: Some(kill_at), ..Journal::default() };
            let first = subject.run(&sink);
            assert_eq!(first.outcome.clone().expect_err("killed").code(), "io");
            assert!(!sink.stored().published);
            sink.kill_at = None;
            let second = subject.run(&sink);
            second.outcome.clone().expect(subject.name);
            let stored = sink.stored();
            assert_eq!(stored.files, expected.files, "{} killed at {kill_at}", subject.name);
            assert!(stored.published && stored.parts.is_empty() && stored.checkpoint.is_none());
            let (read, most) = (first.bytes() + second.bytes(), uninterrupted.bytes() + start + one_shard);
            assert!(read <= most, "{} killed at {kill_at}: {read} bytes were read, {most} are allowed", subject.name);
            resumed += usize::from(second.progress[0].done > 0);
        }
        assert!(resumed > expected.writes / 2, "{}: {resumed} of {} were resumed", subject.name, expected.writes);
    }
}

#[test]
fn killed_again_and_again_it_still_arrives() {
    for subject in subjects() {
        let (expected, uninterrupted, _) = whole(&subject);
        let sink = Journal::default();
        let mut runs = 0;
        loop {
            // More reports each time, because incomplete shards are lost.
            let run = subject.run_for(sink.clone(), 3 + runs);
            runs += 1;
            match run.outcome {
                Ok(()) => break,
                Err(error) => assert_eq!(error.code(), "aborted"),
            }
            assert!(runs < 1000, "{} never ends", subject.name);
        }
        assert_eq!(sink.stored().files, expected.files, "{}", subject.name);
        assert!(runs > 1 && uninterrupted.progress.len() > 3);
    }
}

#[test]
fn an_import_resumes_within_a_tensor() {
    for subject in [large_gguf(), large_directory()] {
        let (_, run, _) = whole(&subject);
        let len = |range: &Range<u64>| range.end - range.start;
        let headers = subject.run_for(Journal::default(), 0).reads.len();
        let longest = run.reads[headers..].iter().map(|(_, range)| len(range)).max().expect("a read");
        // Reads of the embedding, all of the same length but the last.
        let first = headers + run.reads[headers..].iter().position(|(_, range)| len(range) == longest).expect("a read");
        assert_eq!(len(&run.reads[first + 1].1), longest, "{}: the embedding takes several steps", subject.name);
        // The first report precedes the read, the others follow each step.
        let steps = |run: &Run| run.progress.windows(2).map(|pair| pair[1].done - pair[0].done).collect::<Vec<_>>();
        let large = *steps(&run).iter().max().expect("steps");
        let step = steps(&run).iter().position(|&step| step == large).expect("a step") + 1;
        let sink = Journal::default();
        let stopped = subject.run_for(sink.clone(), step);
        assert_eq!(stopped.outcome.expect_err("stopped").code(), "aborted");
        let resumed = subject.run(&sink);
        resumed.outcome.clone().expect("the rest");
        assert_eq!(resumed.progress[0].done, run.progress[step].done, "{}", subject.name);
        let begins =
            |(file, range): &Read| resumed.reads.iter().any(|read| read.0 == *file && read.1.start == range.start);
        assert!(!begins(&run.reads[first]) && begins(&run.reads[first + 1]), "{}", subject.name);
    }
}

#[test]
fn every_file_is_read_from_front_to_back_once() {
    for subject in subjects().into_iter().filter(|subject| subject.name != "small31") {
        let (_, run, _) = whole(&subject);
        let start = subject.run_for(Journal::default(), 0).reads.len();
        let mut at: BTreeMap<&str, u64> = BTreeMap::new();
        for (file, range) in &run.reads[start..] {
            let before = at.insert(file, range.end).unwrap_or(0);
            assert!(before <= range.start, "{}: {file} was read at {before} and then at {range:?}", subject.name);
        }
        let (last, total) = (run.progress.last().expect("reports"), run.progress[0].total_bytes);
        assert_eq!((last.done, last.done_bytes), (last.total, total), "{}", subject.name);
        let read: u64 = run.reads[start..].iter().map(|(_, range)| range.end - range.start).sum();
        assert!(read <= total && read > total * 9 / 10, "{}: {read} of {total}", subject.name);
        assert!(run.progress.is_sorted_by_key(|at| (at.done, at.done_bytes)));
    }
}

/// A checkpoint half way through an import, and its subject.
fn half_way() -> (Subject, Journal) {
    let subject = gguf_pair("mixed", 50_000);
    let (expected, ..) = whole(&subject);
    let sink = Journal { kill_at: Some(expected.writes / 2), ..Journal::default() };
    subject.run(&sink).outcome.expect_err("killed");
    assert!(sink.stored().checkpoint.is_some());
    (subject, Journal { kill_at: None, ..sink })
}

#[test]
fn checkpoints_of_other_imports_are_ignored() {
    let (subject, _) = half_way();
    let mut others = vec![subject.clone(), subject.clone(), subject.clone(), gguf_pair("bf16", 50_000)];
    others[0].layouts = Layout::Q8_0.into();
    others[1].shard_bytes = 60_160;
    others[2].files = text_files("mixed", |parts| parts.set_text("general.name", "Another"));
    for other in others {
        let (_, sink) = half_way();
        let run = other.run(&sink);
        run.outcome.clone().expect("a package");
        assert_eq!(run.progress[0].done, 0, "nothing is taken over");
        let (expected, ..) = whole(&other);
        let stored = sink.stored();
        let named = |file: &&String| expected.files.contains_key(*file);
        assert_eq!(stored.files.keys().filter(named).count(), expected.files.len());
        assert!(expected.files.iter().all(|(file, bytes)| stored.files[file] == *bytes));
    }
}

#[test]
fn damaged_checkpoints_and_parts_are_ignored() {
    let text = |sink: &Journal| String::from_utf8(sink.stored().checkpoint.expect("a checkpoint")).expect("UTF-8");
    type Damage = fn(&mut Stored, &str);
    let damages: [Damage; 6] = [
        |stored, _| stored.checkpoint = Some(b"{".to_vec()),
        |stored, _| stored.checkpoint = Some(Vec::new()),
        |stored, text| stored.checkpoint = Some(text.replace("\"version\":2", "\"version\":3").into_bytes()),
        |stored, text| stored.checkpoint = Some(text.replace("\"shards\":[", "\"shards\":[7,").into_bytes()),
        |stored, _| stored.parts.clear(),
        |stored, _| stored.parts.values_mut().for_each(|bytes| bytes[0] ^= 1),
    ];
    for damage in damages {
        let (subject, sink) = half_way();
        let (expected, ..) = whole(&subject);
        let before = text(&sink);
        damage(&mut sink.stored.lock().expect("no panic"), &before);
        let run = subject.run(&sink);
        run.outcome.clone().expect("a package");
        assert_eq!(run.progress[0].done, 0);
        assert_eq!(sink.stored().files, expected.files);
    }
}
