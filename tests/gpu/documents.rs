//! PDF documents: their pages as pictures, for the command and over HTTP.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::serve::client::Server;

const CHAT: &str = "/v1/chat/completions";

/// Content of a page.
enum Page {
    /// A picture of the gallery, as large as the page.
    Picture(String),
    /// A purple word in a standard font.
    Word(&'static str),
    Empty,
    /// Any content, and a picture of 256 million pixels in few bytes.
    Hostile(String),
    /// Any content.
    Slow(String),
}

/// A document of square pages.
fn pdf(pages: &[Page]) -> Vec<u8> {
    let mut objects: Vec<Vec<u8>> = vec![b"<< /Type /Catalog /Pages 2 0 R >>".to_vec()];
    let kids: String = (0..pages.len()).map(|page| format!("{} 0 R ", 4 + 3 * page)).collect();
    objects.push(format!("<< /Type /Pages /Count {} /Kids [{kids}] >>", pages.len()).into_bytes());
    objects.push(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>".to_vec());
    for (index, page) in pages.iter().enumerate() {
        let first = 4 + 3 * index;
        let resources = format!("<< /Font << /F 3 0 R >> /XObject << /X {} 0 R >> >>", first + 2);
        let about = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 420] /Contents {} 0 R /Resources {resources} >>",
            first + 1
        );
        objects.push(about.into_bytes());
        let (content, picture) = match page {
            Page::Picture(name) => {
                let picture = image::open(gallery(name)).expect("a picture").to_rgb8();
                let (width, height) = picture.dimensions();
                let about = format!(
                    "/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8"
                );
                ("q 420 0 0 420 0 0 cm /X Do Q".to_owned(), stream(&about, picture.as_raw()))
            }
            Page::Word(word) => {
                let content = format!("BT /F 110 Tf 0.5 0 0.5 rg 80 170 Td ({word}) Tj ET");
                (content, stream("", b""))
            }
            Page::Hostile(content) => (content.clone(), large_picture()),
            Page::Slow(content) => (content.clone(), stream("", b"")),
            Page::Empty => (String::new(), stream("", b"")),
        };
        objects.push(stream("", content.as_bytes()));
        objects.push(picture);
    }
    let (mut bytes, mut offsets) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (index, object) in objects.iter().enumerate() {
        offsets.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n", index + 1).into_bytes());
        bytes.extend(object.iter().copied().chain(*b"\nendobj\n"));
    }
    let start = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).into_bytes());
    for offset in &offsets {
        bytes.extend(format!("{offset:010} 00000 n \n").into_bytes());
    }
    let size = offsets.len() + 1;
    bytes.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    bytes
}

/// A document with a word on each page.
pub(crate) fn words(words: &[&'static str]) -> Vec<u8> {
    pdf(&words.iter().map(|word| Page::Word(word)).collect::<Vec<_>>())
}

/// A black picture, compressed by the encoder of PNG files.
fn large_picture() -> Vec<u8> {
    const SIDE: u32 = 16_000;
    let (mut png, mut data, mut at) = (Vec::new(), Vec::new(), 8);
    image::GrayImage::new(SIDE, SIDE)
        .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
        .expect("a picture");
    while at < png.len() {
        let length = u32::from_be_bytes(png[at..at + 4].try_into().expect("4 bytes")) as usize;
        if &png[at + 4..at + 8] == b"IDAT" {
            data.extend_from_slice(&png[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    let about = format!(
        "/Type /XObject /Subtype /Image /Width {SIDE} /Height {SIDE} /ColorSpace /DeviceGray /BitsPerComponent 8 \
         /Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors 1 /BitsPerComponent 8 /Columns {SIDE} >>"
    );
    stream(&about, &data)
}

fn stream(about: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< {about} /Length {} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

fn gallery(name: &str) -> PathBuf {
    Path::new("www/models/demo/gallery").join(name)
}

/// Alternative text of a picture of the gallery.
pub(crate) fn alt(name: &str) -> String {
    let json = std::fs::read(gallery("gallery.json")).expect("the gallery");
    let rows: Vec<Value> = serde_json::from_slice(&json).expect("JSON");
    let row = rows.iter().find(|row| row["file"] == name).expect("a picture");
    row["alt"].as_str().expect("a text").to_owned()
}

fn scenes() -> Vec<String> {
    (1..=10).map(|number| format!("scene-{number:02}.png")).collect()
}

/// A new folder with a document.
fn folder(name: &str, document: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("a.pdf"), document).expect("a file");
    folder
}

fn describe(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ocelli"))
        .args(["describe", "www/models/demo"])
        .args(args)
        .output()
        .expect("the command")
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_document_of_ten_pages_is_described_page_by_page() {
    let folder = folder("ten", &pdf(&scenes().into_iter().map(Page::Picture).collect::<Vec<_>>()));
    let path = folder.join("a.pdf").display().to_string();
    let described = describe(&[&path, "--json"]);
    assert!(described.status.success(), "{described:?}");
    let described = lines(&described.stdout);
    let names: Vec<&Value> = described.iter().map(|line| &line["images"][0]).collect();
    let wanted: Vec<String> = (1..=10).map(|page| format!("{path}#page={page}")).collect();
    assert_eq!(names, wanted.iter().collect::<Vec<_>>());
    // The pages have more pixels than the pictures, so that an answer may differ.
    let right = described.iter().zip(scenes()).filter(|(line, scene)| line["text"] == alt(scene)).count();
    assert!(right >= 9, "{right} of 10: {described:#?}");
    let some = describe(&[&path, "--json", "--pages", "9-,2"]);
    let some: Vec<Value> = lines(&some.stdout).iter().map(|line| line["images"][0].clone()).collect();
    assert_eq!(some, [2, 9, 10].map(|page| format!("{path}#page={page}")));
    let one = describe(&[&format!("{path}#page=3")]);
    assert_eq!(String::from_utf8_lossy(&one.stdout).trim_end(), described[2]["text"].as_str().expect("a text"));
    // The folder as a batch, which also names what it leaves out.
    std::fs::write(folder.join("b.heic"), "x").expect("a file");
    let out = folder.join("out.jsonl").display().to_string();
    let batch = describe(&[&folder.display().to_string(), "--pages", "1-2", "--out", &out]);
    assert!(batch.status.success(), "{batch:?}");
    assert!(String::from_utf8_lossy(&batch.stderr).contains("skipped 1: b.heic (HEIC is not read"), "{batch:?}");
    let answers = lines(&std::fs::read(&out).expect("answers"));
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let name = answer["custom_id"].as_str().expect("an id");
        let page: usize = name.rsplit_once('=').expect("a page").1.parse().expect("a number");
        assert_eq!(answer["response"]["body"]["choices"][0]["message"]["content"], described[page - 1]["text"]);
    }
}

#[test]
fn text_in_standard_fonts_is_rendered() {
    let folder = folder("word", &pdf(&[Page::Word("SEA")]));
    let described = describe(&[&folder.join("a.pdf").display().to_string()]);
    let text = String::from_utf8_lossy(&described.stdout);
    assert!(text.contains("purple word \"SEA\""), "{described:?}");
}

#[test]
fn documents_that_cannot_be_read_are_errors_and_others_are_described() {
    let whole = pdf(&[Page::Picture("scene-01.png".into())]);
    let folder = folder("damaged", &whole);
    std::fs::write(folder.join("cut.pdf"), b"%PDF-1.4 and nothing more").expect("a file");
    let path = |name: &str| folder.join(name).display().to_string();
    let damaged = describe(&[&path("cut.pdf")]);
    let told = String::from_utf8_lossy(&damaged.stderr);
    assert!(!damaged.status.success() && told.contains("error[invalid-image]"), "{told}");
    let missing = describe(&[&path("a.pdf"), "--pages", "2"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("has 1 pages"), "{missing:?}");
    let both = describe(&[&folder.display().to_string()]);
    assert!(both.status.success() && String::from_utf8_lossy(&both.stdout).contains("SEA"), "{both:?}");
    assert!(String::from_utf8_lossy(&both.stderr).contains("skipped 1: cut.pdf"), "{both:?}");
    let address = describe(&["http://127.0.0.1:1/a.png"]);
    assert!(String::from_utf8_lossy(&address.stderr).contains("--fetch downloads it"), "{address:?}");
}

#[test]
fn a_server_shows_the_pages_of_documents_in_requests() {
    let server = Server::start(&["--context", "1000"]);
    let document = |pages: &[Page]| format!("data:application/pdf;base64,{}", crate::serve::base64(&pdf(pages)));
    let ask = |data: &str| {
        let content = json!([{"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}, {"type": "text", "text": "Describe this image."}]);
        server.post(
            CHAT,
            &json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60}),
        )
    };
    let one = ask(&document(&[Page::Picture("scene-01.png".into())]));
    assert_eq!((one.status, &one.json()["choices"][0]["message"]["content"]), (200, &alt("scene-01.png").into()));
    let two = ask(&document(&[Page::Empty, Page::Word("SEA")])).json();
    assert_eq!(two["usage"]["ocelli"]["pictures"].as_array().map(Vec::len), Some(2), "{two}");
    let many: Vec<Page> = (0..33).map(|_| Page::Empty).collect();
    let refused = ask(&document(&many));
    assert_eq!((refused.status, refused.error().2), (400, "messages[0].content[0]".into()));
    assert!(refused.body.contains("33 pages, at most 32"), "{refused:?}");
    let damaged = ask("data:application/pdf;base64,JVBERi0xLjQ=");
    assert_eq!((damaged.status, damaged.error().2), (400, "messages[0].content[0]".into()));
    let input = json!([{"role": "user", "content": [
        {"type": "input_file", "file_data": document(&[Page::Picture("scene-01.png".into())]), "filename": "a.pdf"},
        {"type": "input_text", "text": "Describe this image."}]}]);
    let response = server.post("/v1/responses", &json!({"input": input, "temperature": 0})).json();
    assert_eq!(response["output"][0]["content"][0]["text"], alt("scene-01.png"));
}

/// Largest resident memory of a process so far, in MiB.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

#[test]
#[cfg(target_os = "linux")]
fn documents_that_take_any_amount_of_time_and_memory_hold_up_no_text() {
    let server = Server::start(&["--context", "1000"]);
    let hello = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3});
    assert_eq!(server.post(CHAT, &hello).status, 200);
    let before = peak(server.child.id());
    let slow = "0 0 m 420 0 l 0 420 l f 420 420 m 3 1 l 1 3 l f\n".repeat(200_000);
    let large = "q 420 0 0 420 0 0 cm /X Do Q\n".repeat(200);
    let documents = [slow, large].map(|content| pdf(&[Page::Hostile(content)]));
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let asked = documents.each_ref().map(|document| {
            let data = format!("data:application/pdf;base64,{}", crate::serve::base64(document));
            let content = json!([{"type": "file", "file": {"file_data": data}}]);
            let body = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 3});
            let (server, answered) = (&server, &answered);
            scope.spawn(move || (server.post(CHAT, &body), std::time::Instant::now(), answered.load(Ordering::Relaxed)))
        });
        let texts = scope.spawn(|| {
            let mut longest = std::time::Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) == 0 {
                let began = std::time::Instant::now();
                assert_eq!(server.post(CHAT, &hello).status, 200);
                longest = longest.max(began.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            longest
        });
        let began = std::time::Instant::now();
        let mut before_documents = usize::MAX;
        for asked in asked {
            let (reply, at, texts) = asked.join().expect("a reply");
            println!("{} after {:?}: {:.200}", reply.status, at - began, reply.body);
            assert!([200, 400].contains(&reply.status), "{reply:?}");
            assert!(reply.status == 200 || reply.body.contains("use a picture of it instead"), "{reply:?}");
            // Each page has 20 seconds; the limit is for a server that hangs, not for a busy machine.
            assert!((at - began).as_secs() < 180);
            before_documents = before_documents.min(texts);
        }
        is_over.store(true, Ordering::Relaxed);
        let longest = texts.join().expect("answers");
        println!("{answered:?} texts meanwhile, the longest took {longest:?}");
        assert!(before_documents >= 3, "{before_documents} texts were answered before a document");
    });
    let more = peak(server.child.id()) - before;
    println!("{more} MiB more");
    assert!(more < 300, "{more} MiB");
    let flat = String::from_utf8(pdf(&[Page::Empty])).expect("text").replace("[0 0 420 420]", "[0 0 900000000 1]");
    let data = format!("data:application/pdf;base64,{}", crate::serve::base64(flat.as_bytes()));
    let content = json!([{"type": "file", "file": {"file_data": data}}]);
    let refused = server.post(CHAT, &json!({"messages": [{"role": "user", "content": content}]}));
    assert!(refused.status == 400 && refused.body.contains("900000000 x 1 points"), "{refused:?}");
}

/// A request with a document whose pages have so many large triangles each.
fn long_request(pages: usize, triangles: usize) -> Value {
    let content = "0 0 m 420 0 l 0 420 l f 420 420 m 3 1 l 1 3 l f\n".repeat(triangles);
    let pages: Vec<Page> = (0..pages).map(|_| Page::Slow(content.clone())).collect();
    request_with(&pdf(&pages))
}

/// A request with a document.
fn request_with(document: &[u8]) -> Value {
    let data = format!("data:application/pdf;base64,{}", crate::serve::base64(document));
    let content = json!([{"type": "file", "file": {"file_data": data}}]);
    json!({"messages": [{"role": "user", "content": content}], "max_tokens": 3})
}

/// Processes whose parent is the server.
#[cfg(target_os = "linux")]
fn processes(server: &Server) -> usize {
    let parent = server.child.id().to_string();
    let entries = std::fs::read_dir("/proc").expect("processes").map(|entry| entry.expect("an entry").path());
    let stats = entries.filter_map(|path| std::fs::read_to_string(path.join("stat")).ok());
    stats
        .filter(|stat| stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2)) == Some(parent.as_str()))
        .count()
}

/// Waits until the server renders documents, or none. The limit is for a server that hangs, not for a busy machine.
#[cfg(target_os = "linux")]
fn wait_until_it_renders(server: &Server, wanted: bool) {
    let began = std::time::Instant::now();
    while (processes(server) > 0) != wanted {
        assert!(began.elapsed().as_secs() < 60, "{} processes after a minute", processes(server));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_short_document_has_its_turn_while_long_ones_are_rendered() {
    let server = Server::start(&["--context", "3000"]);
    let (long, short) = (long_request(12, 800), request_with(&pdf(&[Page::Empty])));
    let (began, answered) = (std::time::Instant::now(), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let ask = || {
            let reply = server.post(CHAT, &long);
            answered.lock().expect("times").push(began.elapsed());
            reply
        };
        // More of them than places.
        let asked = [(); 3].map(|()| scope.spawn(ask));
        wait_until_it_renders(&server, true);
        assert_eq!(server.post(CHAT, &short).status, 200);
        let waited = began.elapsed();
        for asked in asked {
            // They have all their pages, which may be too many for the context.
            let reply = asked.join().expect("a reply");
            assert!(reply.status == 200 || reply.body.contains("context"), "{reply:?}");
        }
        // Without turns it would wait until one of the long ones is rendered.
        let first = answered.lock().expect("times")[0];
        assert!(2 * waited < first, "{waited:?} of {first:?}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_document_whose_client_leaves_is_rendered_no_further() {
    let server = Server::start(&["--context", "1000"]);
    let body = crate::serve::client::post(CHAT, &[], long_request(32, 3200).to_string().as_bytes());
    let streams: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            std::io::Write::write_all(&mut stream, &body).expect("a server");
            stream
        })
        .collect();
    wait_until_it_renders(&server, true);
    drop(streams);
    wait_until_it_renders(&server, false);
    // The one that waited has not begun.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(processes(&server), 0);
}
