//! `ocelli describe FOLDER` on a folder of everything.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::ImageFormat;
use serde_json::Value;

use crate::serve::WANTED;

/// Extensions of pictures, and their formats.
const FORMATS: [(&str, ImageFormat); 9] = [
    ("png", ImageFormat::Png),
    ("jpg", ImageFormat::Jpeg),
    ("jpeg", ImageFormat::Jpeg),
    ("jfif", ImageFormat::Jpeg),
    ("webp", ImageFormat::WebP),
    ("gif", ImageFormat::Gif),
    ("bmp", ImageFormat::Bmp),
    ("tif", ImageFormat::Tiff),
    ("TIFF", ImageFormat::Tiff),
];

fn describe(folder: &Path) -> Output {
    let line = ["describe", "www/models/demo"].map(Path::new);
    let options = ["--json", "--device", "cpu"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.args(line).arg(folder).args(options).output().expect("the command")
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folders").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Writes 200 entries: 54 pictures in all formats and 6 links to them, 20 damaged pictures, and 120 others.
fn fill(folder: &Path) {
    let picture = image::open("www/models/demo/gallery/scene-01.png").expect("a picture").to_rgb8();
    let write = |name: String, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file");
    for (extension, format) in FORMATS {
        let path = folder.join(format!("whole-0.{extension}"));
        picture.save_with_format(&path, format).expect("a picture");
        let bytes = fs::read(&path).expect("a file");
        (1..6).for_each(|number| write(format!("whole-{number}.{extension}"), &bytes));
        (0..2).for_each(|number| write(format!("damaged-{number}.{extension}"), &bytes[..bytes.len() / 3 * number]));
    }
    for number in 0..6 {
        symlink("whole-0.png", folder.join(format!("link-{number}.png"))).expect("a link");
        symlink("nowhere.png", folder.join(format!("to-nothing-{number}.png"))).expect("a link");
    }
    for number in 0..10 {
        write(format!("phone-{number}.HEIC"), b"x");
        write(format!("._whole-{number}.jpg"), b"resources of another system");
        fs::create_dir(folder.join(format!("inner-{number}"))).expect("a folder");
    }
    (0..2).for_each(|number| write(format!("text-{number}.png"), b"no picture"));
    (0..84).for_each(|number| write(format!("notes-{number:02}.{}", ["txt", "csv", "md"][number % 3]), b"text"));
}

#[test]
fn a_folder_of_200_mixed_files_is_described_and_says_what_it_skips() {
    let folder = folder("mixed");
    fill(&folder);
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 200);
    let output = describe(&folder);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let is_damaged = |line: &&Value| line["code"] == "invalid-image";
    let (damaged, described): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(is_damaged);
    assert_eq!((described.len(), damaged.len()), (60, 20), "{output:?}");
    for line in described {
        let name = line["images"][0].as_str().expect("a path");
        assert!(["whole-", "link-"].iter().any(|begin| name.contains(begin)), "{line}");
        // Formats that lose nothing give the same answer.
        let is_exact = ["png", "bmp", "tif", "TIFF", "webp"].iter().any(|extension| name.ends_with(extension));
        assert!(
            line["text"] == WANTED || !is_exact && line["text"].as_str().is_some_and(|text| text.len() > 10),
            "{line}"
        );
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let skipped: Vec<&str> = told.lines().filter(|line| line.starts_with("skipped")).collect();
    assert_eq!(
        skipped,
        [
            "skipped 10: phone-0.HEIC, phone-1.HEIC, phone-2.HEIC and 7 more (HEIC is not read; convert it to PNG or JPEG)",
            "skipped 10: inner-0, inner-1, inner-2 and 7 more (a folder; --recursive looks into folders)",
            "skipped 10: ._whole-0.jpg, ._whole-1.jpg, ._whole-2.jpg and 7 more (hidden)",
            "skipped 84: notes-00.txt, notes-01.csv, notes-02.md and 81 more (neither a picture nor a PDF)",
            "skipped 6: to-nothing-0.png, to-nothing-1.png, to-nothing-2.png and 3 more (no regular file)",
        ]
    );
    assert!(told.contains("20 of 80 could not be described"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn skipped_files_alone_are_no_failure() {
    let folder = folder("fine");
    fs::copy("www/models/demo/gallery/scene-01.png", folder.join("a.png")).expect("a picture");
    fs::write(folder.join("a.txt"), "x").expect("a file");
    let output = describe(&folder);
    assert!(String::from_utf8_lossy(&output.stderr).contains("skipped 1: a.txt"), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}
