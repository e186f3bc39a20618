//! `ocelli pull` from a test server with faults: broken connections, forgotten ranges, changed versions, wrong hashes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use sha2::{Digest, Sha256};

use super::command::{ocelli, text};
use super::common::{Scratch, checkpoint_dir, fixture};

/// Faults of the server.
#[derive(Default)]
struct Manners {
    /// Ends answers after this many bytes of the body.
    cut_after: Option<usize>,
    /// Sends whole files, ignoring ranges.
    ignores_ranges: bool,
    /// Names another version each time.
    is_fickle: bool,
    /// Announces these hashes of files in redirections.
    linked: HashMap<String, String>,
    /// Redirects to this host.
    elsewhere: String,
    /// Answers with this status.
    status: Option<u16>,
}

/// A request: path, `Range` if present, and true with a token.
pub(super) type Asked = (String, Option<String>, bool);

pub(super) struct Server {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    manners: Arc<Mutex<Manners>>,
}

impl Server {
    /// Serves `root`: `/files/` directly, `/hub/` by redirection to it.
    pub(super) fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (asked, manners) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<Manners>>::default());
        let (log, told) = (asked.clone(), manners.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Errors of connections that the client closes are ignored.
                drop(answer(&stream, &root, &log, &told));
            }
        });
        Self { address, asked, manners }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().expect("a log"))
    }

    fn told(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().expect("manners"));
    }
}

fn answer(stream: &TcpStream, root: &Path, log: &Mutex<Vec<Asked>>, manners: &Mutex<Manners>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: HashMap<String, String> = lines
        .map_while(|line| line.ok().filter(|line| !line.is_empty()))
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let range = headers.get("range").cloned();
    let mut log = log.lock().expect("a log");
    log.push((path.clone(), range.clone(), headers.contains_key("authorization")));
    let count = log.len();
    drop(log);
    let manners = manners.lock().expect("manners");
    let mut out = stream;
    if let Some(status) = manners.status {
        return write!(out, "HTTP/1.1 {status} No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    if let Some(rest) = path.strip_prefix("/hub/") {
        let linked = manners.linked.get(rest).map_or(String::new(), |hash| format!("x-linked-etag: \"{hash}\"\r\n"));
        return write!(
            out,
            "HTTP/1.1 302 Found\r\nlocation: {}/files/{rest}\r\n{linked}connection: close\r\ncontent-length: 0\r\n\r\n",
            manners.elsewhere
        );
    }
    let name = path.strip_prefix("/files/").unwrap_or_default().split('?').next().unwrap_or_default();
    let Ok(bytes) = fs::read(root.join(name)) else {
        return write!(out, "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    };
    let etag = if manners.is_fickle { format!("\"{count}\"") } else { "\"one\"".to_owned() };
    let asked = range.filter(|_| !manners.ignores_ranges && headers.get("if-range") == Some(&etag));
    let start: usize = asked.and_then(|range| range["bytes=".len()..].trim_end_matches('-').parse().ok()).unwrap_or(0);
    let (status, total) = (if start > 0 { "206 Partial Content" } else { "200 OK" }, bytes.len());
    let range = format!("content-range: bytes {start}-{}/{total}\r\n", total - 1);
    let range = if start > 0 { range.as_str() } else { "" };
    let length = total - start;
    write!(out, "HTTP/1.1 {status}\r\netag: {etag}\r\n{range}content-length: {length}\r\nconnection: close\r\n\r\n")?;
    let end = manners.cut_after.map_or(total, |cut| total.min(start + cut));
    out.write_all(&bytes[start..end])
}

/// `ocelli` with a cache folder of its own.
pub(super) fn pull(cache: &Scratch, args: &[&str]) -> Output {
    command(cache, args).env_remove("HF_TOKEN").output().expect("the command")
}

pub(super) fn command(cache: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.args(args).env("XDG_CACHE_HOME", &cache.0);
    command
}

/// All files of a folder.
fn files(folder: &Path) -> HashMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
    };
    entries.map(read).collect()
}

/// The content of a package without its origin.
pub(super) fn weights(folder: &Path) -> HashMap<String, Vec<u8>> {
    let mut files = files(folder);
    assert!(files.remove("model.json").is_some(), "{}", folder.display());
    files
}

#[test]
fn a_folder_of_safetensors_is_pulled_through_broken_connections() {
    let (scratch, cache) = (Scratch::new(), Scratch::new());
    let packed = scratch.0.join("package");
    assert!(ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &packed, &"--quant", &"q8_0"]).status.success());
    let server = Server::start(checkpoint_dir("untied"));
    server.told(|manners| manners.cut_after = Some(40_000));
    let url = format!("{}/hub/", server.address);
    let pulled = pull(&cache, &["pull", &url, "--name", "tiny", "--quant", "q8_0", "--token", "secret"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    let package = cache.0.join("ocelli/models/tiny");
    assert!(weights(&package) == weights(&packed), "the bytes are those of a package made from the folder");
    let asked = server.asked();
    let weights = || asked.iter().filter(|(path, ..)| path.starts_with("/files/") && path.ends_with(".safetensors"));
    let ranges: Vec<_> = weights().filter_map(|(_, range, _)| range.clone()).collect();
    assert!(
        ranges.len() > 3 && ranges.iter().all(|range| range.starts_with("bytes=") && range != "bytes=0-"),
        "{ranges:?}"
    );
    assert_eq!(ranges.len() + 1, weights().count(), "nothing came twice");
    assert!(asked.iter().all(|(.., has_token)| *has_token), "one host");
    let left = files(&cache.0.join("ocelli/models/tiny"));
    assert!(!left.keys().any(|name| name.contains("part")), "{:?}", left.keys());
    assert!(!cache.0.join("ocelli/models/.tiny.download").exists());

    let inspected = pull(&cache, &["inspect", "tiny", "--verify"]);
    assert!(inspected.status.success(), "{}", text(&inspected.stderr));
    let again = pull(&cache, &["pull", &url, "--name", "tiny"]);
    assert!(text(&again.stdout).starts_with("tiny is here: "), "{}", text(&again.stdout));
    assert!(server.asked().is_empty());
}

#[test]
fn gguf_files_are_pulled_each_from_its_address() {
    let (scratch, cache) = (Scratch::new(), Scratch::new());
    let packed = scratch.0.join("package");
    let (text_model, vision) = (fixture("gguf/q4_k.gguf"), fixture("gguf/mmproj.gguf"));
    assert!(ocelli(&[&"pack", &text_model, &"--mmproj", &vision, &"--out", &packed]).status.success());
    let server = Server::start(text_model.parent().expect("a folder").to_path_buf());
    let (model, mmproj) =
        (format!("{}/files/q4_k.gguf?download=true", server.address), format!("{}/hub/mmproj.gguf", server.address));
    let pulled = pull(&cache, &["pull", &model, "--mmproj", &mmproj]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert!(weights(&cache.0.join("ocelli/models/q4_k")) == weights(&packed));
}

#[test]
fn tokens_are_sent_to_their_own_host_only() {
    let cache = Scratch::new();
    let root = fixture("gguf/q4_k.gguf").parent().expect("a folder").to_path_buf();
    let (main, other) = (Server::start(root.clone()), Server::start(root));
    let model = format!("{}/files/q4_k.gguf", main.address);
    let mmproj = format!("{}/files/mmproj.gguf", other.address);
    let of_hub = command(&cache, &["pull", &model, "--name", "a"]).env("HF_TOKEN", "secret").output();
    assert!(of_hub.expect("the command").status.success());
    assert!(main.asked().iter().all(|(.., has_token)| !has_token), "HF_TOKEN is for huggingface.co");
    let pulled = pull(&cache, &["pull", &model, "--mmproj", &mmproj, "--name", "b", "--token", "secret"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    let are_apart = || {
        let (main, other) = (main.asked(), other.asked());
        assert!(!main.is_empty() && main.iter().all(|(.., has_token)| *has_token));
        assert!(!other.is_empty() && other.iter().all(|(.., has_token)| !has_token));
    };
    are_apart();
    main.told(|manners| manners.elsewhere.clone_from(&other.address));
    let redirected = format!("{}/hub/q4_k.gguf", main.address);
    assert!(pull(&cache, &["pull", &redirected, "--name", "d", "--token", "secret"]).status.success());
    are_apart();
    let clear = pull(&cache, &["pull", "http://192.0.2.1/c.gguf", "--token", "secret"]);
    assert!(text(&clear.stderr).contains("--token: is sent over https only"), "{}", text(&clear.stderr));
}

#[test]
fn a_damaged_package_is_pulled_again() {
    let (scratch, cache) = (Scratch::new(), Scratch::new());
    let packed = scratch.0.join("package");
    assert!(ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &packed]).status.success());
    let server = Server::start(packed.clone());
    let url = format!("{}/files/", server.address);
    let here = cache.0.join("ocelli/models/tiny");
    let again = |more: &[&str]| {
        let pulled = pull(&cache, &[&["pull", &url, "--name", "tiny"], more].concat());
        assert!(pulled.status.success(), "{}", text(&pulled.stderr));
        assert!(files(&here) == files(&packed));
        server.asked().len()
    };
    let whole = again(&[]);
    assert_eq!(again(&[]), 0, "it is here");
    let shard = here.join("shard-0000.bin");
    for damaged in [Vec::new(), vec![7; fs::read(&shard).expect("a shard").len()]] {
        fs::write(&shard, damaged).expect("a shard");
        assert_eq!(again(&[]), whole);
    }
    assert_eq!(again(&["--force"]), whole);
}

#[test]
fn a_package_is_pulled_unchanged_and_damaged_files_are_discarded() {
    let (scratch, cache) = (Scratch::new(), Scratch::new());
    let packed = scratch.0.join("package");
    assert!(ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &packed, &"--quant", &"q8_0"]).status.success());
    let shard = packed.join("shard-0000.bin");
    let good = fs::read(&shard).expect("a shard");
    let mut bad = good.clone();
    bad[1000] ^= 0x10;
    fs::write(&shard, &bad).expect("a shard");
    let server = Server::start(packed.clone());
    let url = format!("{}/files/model.json", server.address);
    let pulled = pull(&cache, &["pull", &url, "--name", "tiny"]);
    assert!(text(&pulled.stderr).contains("error[integrity]: shard-0000.bin"), "{}", text(&pulled.stderr));
    assert!(!cache.0.join("ocelli/models/tiny").exists(), "a package is whole or not there");
    fs::write(&shard, &good).expect("a shard");
    let pulled = pull(&cache, &["pull", &url, "--name", "tiny"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert!(files(&cache.0.join("ocelli/models/tiny")) == files(&packed));
    let shards = server.asked().iter().filter(|(path, ..)| path.ends_with("shard-0000.bin")).count();
    assert_eq!(shards, 2, "what was wrong was fetched again");
}

#[test]
fn faults_of_a_server_are_reported_or_repaired() {
    let root = checkpoint_dir("untied");
    let hash = |name: &str| -> String {
        let bytes = fs::read(root.join(name)).expect("a file");
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let server = Server::start(root.clone());
    let url = format!("{}/hub/", server.address);
    let run = |name: &str, change: &dyn Fn(&mut Manners)| {
        let cache = Scratch::new();
        server.told(|manners| *manners = Manners::default());
        server.told(|manners| change(manners));
        let pulled = pull(&cache, &["pull", &url, "--name", name]);
        (pulled.status.success(), text(&pulled.stderr))
    };
    let linked = |hash: String| HashMap::from([("model.safetensors".to_owned(), hash)]);
    let good = run("good", &|manners| manners.linked = linked(hash("model.safetensors")));
    assert!(good.0, "{}", good.1);
    let wrong = run("wrong", &|manners| manners.linked = linked("ab".repeat(32)));
    assert!(!wrong.0 && wrong.1.contains("error[io]") && wrong.1.contains("the server promised abab"), "{}", wrong.1);
    // Connections break, and a part is never served: each attempt adds bytes until the file is complete, or fails.
    let whole = run("whole", &|manners| (manners.cut_after, manners.ignores_ranges) = (Some(10_000_000), true));
    assert!(whole.0, "{}", whole.1);
    let refused = run("refused", &|manners| manners.status = Some(403));
    assert!(!refused.0 && refused.1.contains("403") && refused.1.contains("HF_TOKEN"), "{}", refused.1);
    let nothing = run("nothing", &|manners| manners.status = Some(404));
    assert!(!nothing.0 && nothing.1.contains("error[invalid-checkpoint]"), "{}", nothing.1);
}

#[test]
fn a_file_that_changes_between_two_attempts_is_fetched_anew() {
    let (scratch, cache) = (Scratch::new(), Scratch::new());
    let packed = scratch.0.join("package");
    assert!(ocelli(&[&"pack", &checkpoint_dir("untied"), &"--out", &packed]).status.success());
    let server = Server::start(checkpoint_dir("untied"));
    // The first answers break off, and every answer names another version: parts must not be joined.
    server.told(|manners| (manners.cut_after, manners.is_fickle) = (Some(40_000), true));
    let url = format!("{}/files/", server.address);
    let broken = pull(&cache, &["pull", &url, "--name", "tiny"]);
    assert!(!broken.status.success() && text(&broken.stderr).contains("the same command"), "{}", text(&broken.stderr));
    server.told(|manners| *manners = Manners::default());
    let pulled = pull(&cache, &["pull", &url, "--name", "tiny"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert!(weights(&cache.0.join("ocelli/models/tiny")) == weights(&packed));
}

#[test]
fn known_models_are_listed_and_unknown_names_are_told() {
    let cache = Scratch::new();
    let listed = pull(&cache, &["pull"]);
    assert!(listed.status.success());
    assert!(
        text(&listed.stdout).contains("qwen3.5-0.8b  0.7 GB to download, about 0.7 GB on disk, Apache-2.0\n"),
        "{}",
        text(&listed.stdout)
    );
    let unknown = pull(&cache, &["pull", "nothing"]);
    assert!(
        text(&unknown.stderr).starts_with("error[invalid-request]: model: \"nothing\" is no known model"),
        "{}",
        text(&unknown.stderr)
    );
    let missing = pull(&cache, &["inspect", "qwen3.5-0.8b"]);
    assert!(text(&missing.stderr).contains("`ocelli pull qwen3.5-0.8b` downloads it"), "{}", text(&missing.stderr));
}

#[test]
fn a_repository_is_pulled_by_its_name_listed_and_removed() {
    let (root, cache) = (Scratch::new(), Scratch::new());
    let repository = root.0.join("o/n-GGUF/resolve/main");
    fs::create_dir_all(&repository).expect("a folder");
    fs::create_dir_all(root.0.join("api/models/o")).expect("a folder");
    for (from, to) in [("gguf/q4_k.gguf", "N-Q4_K_M.gguf"), ("gguf/mmproj.gguf", "mmproj-N-F16.gguf")] {
        fs::copy(fixture(from), repository.join(to)).expect("a file");
    }
    let names = ["README.md", "N-Q8_0.gguf", "N-Q4_K_M.gguf", "mmproj-N-F16.gguf"];
    let files: Vec<_> = names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
    let listing = serde_json::json!({"id": "o/n-GGUF", "siblings": files}).to_string();
    fs::write(root.0.join("api/models/o/n-GGUF"), listing).expect("a file");
    let server = Server::start(root.0.clone());
    let hub = format!("{}/files/", server.address);
    let run = |args: &[&str]| {
        command(&cache, args).env("HF_ENDPOINT", &hub).env("HF_TOKEN", "secret").output().expect("it runs")
    };
    let pulled = run(&["pull", "o/n-GGUF", "--quiet"]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    assert_eq!(text(&pulled.stderr), "");
    let asked = server.asked();
    assert!(asked.iter().all(|(_, _, has_token)| *has_token), "the mirror is the hub: {asked:?}");
    let paths: Vec<&str> = asked.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths[0], "/files/api/models/o/n-GGUF");
    assert!(paths[1..].iter().all(|path| path.starts_with("/files/o/n-GGUF/resolve/main/")), "{paths:?}");

    let listed = run(&["list", "--json"]);
    let model: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("a line of JSON");
    assert_eq!(model["name"], "n-q4_k_m");
    assert!(text(&run(&["list"]).stdout).starts_with("n-q4_k_m  0.0 GB, "));
    assert_eq!(text(&run(&["rm", "n-q4_k_m"]).stdout), "n-q4_k_m is removed\n");
    for name in ["n-q4_k_m", "..", ".", "/etc", ""] {
        let missing = run(&["rm", name]);
        assert_eq!(missing.status.code(), Some(3), "{name}: {}", text(&missing.stderr));
    }
    assert_eq!(text(&run(&["list", "--quiet"]).stdout), "");
    let unknown = run(&["pull", "o/n-GGUF:Q3_K_M"]);
    assert!(text(&unknown.stderr).contains("N-Q8_0.gguf, N-Q4_K_M.gguf"), "{}", text(&unknown.stderr));
    assert_eq!((unknown.status.code(), run(&["pull", "o/other"]).status.code()), (Some(2), Some(2)));
}

/// The hub, or a mirror of it, has another file than the one whose hash is known.
#[test]
fn a_known_model_with_another_content_is_refused_and_leaves_nothing() {
    let (root, cache) = (Scratch::new(), Scratch::new());
    let folder = root.0.join("ggml-org/SmolVLM2-256M-Video-Instruct-GGUF/resolve/main");
    fs::create_dir_all(&folder).expect("a folder");
    let file = fs::File::create(folder.join("SmolVLM2-256M-Video-Instruct-Q8_0.gguf")).expect("a file");
    let server = Server::start(root.0.clone());
    let hub = format!("{}/files/", server.address);
    // The second one has the right length.
    for (bytes, reason) in
        [(1000, "it has 1000 bytes, the known"), (175_056_352, "the known file has af7ce9951a2f46c4")]
    {
        file.set_len(bytes).expect("room");
        let pulled = command(&cache, &["pull", "smolvlm2-256m", "--quiet"]).env("HF_ENDPOINT", &hub).output();
        let told = text(&pulled.expect("it runs").stderr);
        assert!(told.starts_with("error[io]") && told.contains(reason), "{told}");
        let models = fs::read_dir(cache.0.join("ocelli/models")).into_iter().flatten().flatten();
        let parts = models.flat_map(|model| fs::read_dir(model.path()).into_iter().flatten().flatten());
        let left: Vec<_> =
            parts.map(|part| part.path()).filter(|part| part.to_string_lossy().contains("Q8_0")).collect();
        assert!(left.is_empty() && !cache.0.join("ocelli/models/smolvlm2-256m").exists(), "{left:?}");
    }
}

#[test]
fn completions_name_the_verbs_and_options() {
    let cache = Scratch::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = pull(&cache, &["completions", shell]);
        let script = text(&script.stdout);
        assert!(script.contains("describe") && script.contains("gpu-memory-budget"), "{shell}");
    }
}
