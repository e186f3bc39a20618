//! Power failures: the real command runs with a library that records its writes, and every point of the record gives disks on which nothing
//! is left but what was synced, and any part of the rest. On each of them everything that was acknowledged before is there.
//!
//! 6 points of each record by default, 100 with `OCELLI_TESTS=all`, or `OCELLI_FAILURES`; `OCELLI_FAILURE=17` repeats one.

mod commands;
mod disk;
mod server;

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use ocelli::kernels::cases::Random;
use serde_json::Value;

use disk::{Disk, Loss};

/// The folder of a test, with the recorded folder and others.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("power").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("root")).expect("a folder");
    folder
}

/// The recorder, compiled by the compiler that Rust links with.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorder.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&path);
        let done = compiler.args(["tests/gpu/power/recorder.c", "-lpthread"]).status().expect("a C compiler");
        assert!(done.success());
        path
    })
}

/// A folder whose changes are recorded.
struct Record {
    folder: PathBuf,
    disk: Disk,
}

impl Record {
    /// Begins a record of the folder `root` in `folder`, all of which is on disk.
    fn begin(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), disk: Disk::of(&folder.join("root")) }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("record")
    }

    /// `ocelli` with a recorder.
    fn command(&self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
        let mut command = ocelli(&self.folder.join("root"), args);
        command.env("LD_PRELOAD", library()).env("RECORDED", self.folder.join("root")).env("RECORD", self.path());
        command
    }

    /// Notes something that was acknowledged until now.
    fn tell(&self, told: &Value) {
        let mut record = OpenOptions::new().append(true).create(true).open(self.path()).expect("the record");
        record.write_all(format!("A {told}\n").as_bytes()).expect("a line");
    }

    /// Calls `check` with the state of the folder after each of some failures, and with what was told before.
    fn check(mut self, check: impl Fn(&Path, &[Value])) {
        self.disk.read(&fs::read(self.path()).expect("the record"));
        let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        let is_all = std::env::var("OCELLI_TESTS").is_ok_and(|tests| tests == "all");
        let number = variable("OCELLI_FAILURES").unwrap_or(if is_all { 100 } else { 6 });
        let numbers = variable("OCELLI_FAILURE").map_or(0..number, |only| only..only + 1);
        for failure in numbers {
            let mut random = Random::new(failure.into());
            let point = random.bits() as usize % (self.disk.steps.len() + 1);
            let loss = [Loss::Any, Loss::Everything, Loss::Any, Loss::Nothing][failure as usize % 4];
            let root = self.folder.join("after");
            let _ = fs::remove_dir_all(&root);
            self.disk.restore(point, loss, &mut random, &root);
            let told: Vec<Value> =
                self.disk.told(point).map(|text| serde_json::from_str(text).expect("JSON")).collect();
            println!(
                "failure {failure}: {loss:?} at step {point} of {}, after {} told",
                self.disk.steps.len(),
                told.len()
            );
            check(&root, &told);
        }
    }
}

/// `ocelli` with its cache folder in `root`.
fn ocelli(root: &Path, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.args(args).env("XDG_CACHE_HOME", root).env_remove("HF_TOKEN");
    command
}

/// Both outputs of a command as text.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Values of the field `name` in what was told.
fn told<'a>(told: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    told.iter().filter_map(move |one| one.get(name))
}
