//! The process that renders pages of a PDF document.

use std::io::{Read, Write};
use std::ops::Range;
use std::thread;

use clap::Args;
use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::{LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};
use ocelli::{Error, Result};

use crate::shared::io;

/// Pixels of the longer side of a page: small print of a page of paper is readable.
const LONGEST: f32 = 2048.0;
/// Memory of a process.
#[cfg(unix)]
const MEMORY: u64 = 3 << 30;

/// Renders pages of the document on standard input. Its length is before it, and after it comes a byte before each page but the first.
#[derive(Args)]
pub(crate) struct RenderArgs {
    /// The first page, counted from 1.
    pub(super) first: usize,
    /// Most pages.
    pub(super) count: usize,
    /// Write no page if the document has more than these.
    #[arg(long)]
    pub(super) whole: bool,
}

/// Runs the process.
pub(crate) fn run(args: &RenderArgs) -> Result<()> {
    limit_memory();
    let (mut length, mut document) = ([0; 8], Vec::new());
    let mut input = std::io::stdin().lock();
    let read = input.read_exact(&mut length);
    let read = read.and_then(|()| input.by_ref().take(u64::from_le_bytes(length)).read_to_end(&mut document));
    read.map_err(|error| Error::io("standard input", &error))?;
    drop(input);
    let range = args.first.max(1)..args.first.max(1).saturating_add(args.count);
    // Documents nest as deeply as they like.
    let whole = args.whole;
    let work = thread::Builder::new().stack_size(64 << 20).spawn(move || write_pages(document, range, whole));
    let failed = |reason: &str| Error::InvalidImage { reason: reason.into() };
    let outcome = work.map_err(|error| Error::io("a thread", &error))?.join();
    let outcome = outcome.unwrap_or_else(|_| Err(failed("the document cannot be rendered")));
    if let Err(Error::InvalidImage { reason }) = &outcome {
        io::warn(reason);
        std::process::exit(1);
    }
    outcome
}

#[cfg(unix)]
fn limit_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // On systems without such a limit, that of time remains.
    let _ = setrlimit(Resource::As, limit(MEMORY));
    let _ = setrlimit(Resource::Core, limit(0));
}

#[cfg(not(unix))]
fn limit_memory() {}

fn write_pages(document: Vec<u8>, range: Range<usize>, whole: bool) -> Result<()> {
    let invalid = |reason: String| Error::InvalidImage { reason };
    let pdf = Pdf::new(document).map_err(|error| match error {
        LoadPdfError::Decryption(_) => invalid("the document is encrypted".into()),
        LoadPdfError::Invalid => invalid("the PDF is damaged".into()),
    })?;
    let (pages, cache, settings) = (pdf.pages(), RenderCache::new(), InterpreterSettings::default());
    let mut out = std::io::stdout().lock();
    let mut write = |bytes: &[u8]| {
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Error::io("standard output", &error))
    };
    write(&(pages.len() as u64).to_le_bytes())?;
    if whole && pages.len() >= range.end {
        return Ok(());
    }
    for number in range.clone() {
        let is_wanted = number == range.start || std::io::stdin().read_exact(&mut [0]).is_ok();
        if !is_wanted {
            break;
        }
        let Some(page) = pages.get(number - 1) else { break };
        let (width, height) = page.render_dimensions();
        let scale = LONGEST / width.max(height);
        if !(scale.is_finite() && width.min(height) * scale >= 1.0) {
            return Err(invalid(format!("page {number} is {width} x {height} points")));
        }
        let pixels = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
        let pixmap = render(page, &cache, &settings, &RenderSettings::default(), &pixels);
        let png = pixmap.into_png().map_err(|error| invalid(format!("page {number}: {error}")))?;
        write(&(png.len() as u64).to_le_bytes())?;
        write(&png)?;
    }
    Ok(())
}
