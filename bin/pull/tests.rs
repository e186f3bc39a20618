//! Downloads from a test server that stalls, does not name versions, or sends other bytes than the known ones.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, thread};

use ocelli::Result;
use sha2::{Digest, Sha256};

use super::download::Downloader;
use crate::shared::models::Pin;

/// A server that writes `answer` to each connection, with the number of the request, and the requests so far.
fn serve(answer: fn(&mut TcpStream, usize)) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/file", listener.local_addr().expect("an address"));
    let (asked, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (count, asked) = (count.clone(), counted.clone());
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).for_each(drop);
                asked.fetch_add(1, Ordering::SeqCst);
                answer(&mut stream, count.fetch_add(1, Ordering::SeqCst));
            });
        }
    });
    (url, asked)
}

fn send(stream: &mut TcpStream, text: &str) {
    // The client may have closed the connection.
    let _ = stream.write_all(text.as_bytes());
}

/// Time without a byte for downloads that have to stall.
const SHORT: Duration = Duration::from_millis(300);
/// The same for the others, on a machine that does other things, too.
const LONG: Duration = Duration::from_secs(60);

/// Downloads to an empty folder; returns the content.
fn fetch(name: &str, stall: Duration, url: &str, pin: Option<&Pin>) -> Result<String> {
    let folder: PathBuf = std::env::temp_dir().join(format!("ocelli-pull-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("file");
    let fetched = Downloader::with_stall(Vec::new(), stall).fetch(url, &path, pin);
    let content = fetched.map(|is_found| {
        assert!(is_found);
        fs::read_to_string(&path).expect("the file")
    });
    fs::remove_dir_all(&folder).expect("the folder");
    content
}

#[test]
fn a_stalled_download_ends() {
    let (url, asked) = serve(|stream, _| {
        send(stream, "HTTP/1.1 200 OK\r\netag: \"one\"\r\ncontent-length: 10\r\n\r\nabc");
        thread::sleep(Duration::from_secs(60));
    });
    let error = fetch("stalled", SHORT, &url, None).expect_err("nothing more arrives").to_string();
    assert!(error.contains("run the same command again"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[test]
fn a_slow_download_takes_longer_than_a_stall() {
    let (url, asked) = serve(|stream, _| {
        send(stream, "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n");
        for _ in 0..12 {
            thread::sleep(Duration::from_millis(300));
            send(stream, "a");
        }
    });
    assert_eq!(fetch("slow", Duration::from_secs(3), &url, None).as_deref(), Ok("aaaaaaaaaaaa"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_server_that_names_no_version_is_asked_a_few_times_only() {
    // Each answer is longer than the one before, but begins anew.
    let (url, asked) = serve(|stream, count| {
        let text = "a".repeat(count + 1);
        send(stream, &format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{text}"));
    });
    let error = fetch("versions", LONG, &url, None).expect_err("it never arrives").to_string();
    assert!(error.contains("run the same command again"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

/// A server that sends without end once filled the disk.
#[test]
#[cfg(unix)]
fn a_file_of_unknown_length_leaves_room_on_the_disk() {
    let folder: PathBuf = std::env::temp_dir().join(format!("ocelli-pull-room-{}", std::process::id()));
    let without: fn(&mut TcpStream, usize) = |stream, _| send_much(stream, "");
    let with: fn(&mut TcpStream, usize) = |stream, _| send_much(stream, "etag: \"one\"\r\n");
    for (answer, is_kept) in [(without, false), (with, true)] {
        let (url, asked) = serve(answer);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let downloader = Downloader::with_stall(Vec::new(), LONG).sparing(u64::MAX);
        let error = downloader.fetch(&url, &folder.join("file"), None).expect_err("no room").to_string();
        assert!(error.contains("are free"), "{error}");
        let left = fs::metadata(folder.join("file.part")).map_or(0, |part| part.len());
        // A part without a version cannot be resumed.
        assert!(if is_kept { (16 << 20..24 << 20).contains(&left) } else { left == 0 }, "{left}");
        assert!(!folder.join("file").exists() && asked.load(Ordering::SeqCst) == 1);
    }
    fs::remove_dir_all(&folder).expect("the folder");
}

/// Sends 40 MiB without their length.
fn send_much(stream: &mut TcpStream, header: &str) {
    send(stream, &format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{header}\r\n"));
    let block = vec![7; 1 << 20];
    for _ in 0..40 {
        if stream.write_all(&block).is_err() {
            break;
        }
    }
}

#[test]
fn a_file_with_other_bytes_than_the_known_ones_is_refused() {
    let pin = |text: &str, bytes| {
        let sha256 = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Pin { sha256, bytes }
    };
    let (url, _) = serve(|stream, _| send(stream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"));
    assert_eq!(fetch("right", LONG, &url, Some(&pin("abc", 3))).as_deref(), Ok("abc"));
    let error = fetch("hash", LONG, &url, Some(&pin("abd", 3))).expect_err("other bytes").to_string();
    assert!(error.contains("SHA-256 is ba7816bf"), "{error}");
    let error = fetch("length", LONG, &url, Some(&pin("abcd", 4))).expect_err("another length").to_string();
    assert!(error.contains("it has 3 bytes, the known file has 4"), "{error}");
    let (url, _) = serve(|stream, _| send(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcdef"));
    let error = fetch("more", LONG, &url, Some(&pin("abc", 3))).expect_err("more bytes").to_string();
    assert!(error.contains("more than the 3 bytes"), "{error}");
}

/// A process may end between the last byte of a file and its new name.
#[test]
fn a_file_that_is_whole_but_for_its_name_is_not_downloaded_again() {
    let folder: PathBuf = std::env::temp_dir().join(format!("ocelli-pull-whole-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("file.part"), "12345678").expect("a file");
    fs::write(folder.join("file.part.json"), r#"{"etag": "\"one\"", "bytes": 8, "stored": 8}"#).expect("a file");
    let (url, asked) = serve(|stream, _| {
        let head = "HTTP/1.1 206 Partial Content\r\netag: \"one\"\r\ncontent-range: bytes 7-7/8\r\n";
        send(stream, &format!("{head}content-length: 1\r\nconnection: close\r\n\r\n8"));
    });
    let path = folder.join("file");
    assert!(Downloader::with_stall(Vec::new(), LONG).fetch(&url, &path, None).expect("the rest"));
    assert_eq!(fs::read_to_string(&path).expect("the file"), "12345678");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    fs::remove_dir_all(&folder).expect("the folder");
}
