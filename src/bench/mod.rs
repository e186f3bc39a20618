//! How fast a model is on a device, beside what the device could do: one report, the same natively and in a browser.

mod measures;
mod peaks;
mod report;
mod shares;
mod timer;
mod together;
mod work;

pub use measures::{Measure, What};
pub use peaks::{Peak, Peaks};
pub use report::BenchReport;
pub use shares::{KernelShare, WorkShares};
pub use work::Work;

use crate::engine::{Engine, RequestControl};
use crate::error::Result;
use crate::families::definition;
use crate::kernels::cache::PAGE;
use crate::model::DRAFT_ROWS;
use measures::Bench;
use timer::Timer;

/// Tokens of the prompt whose first token is timed right after loading.
const FIRST_PROMPT: usize = 64;
/// Edge in pixels of the smallest square that takes a token, of any family.
const SMALLEST_CELL: usize = 28;
/// Tokens of a picture's prompt that are not the picture's.
const AROUND_PICTURE: usize = 64;

/// What is timed.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BenchOptions {
    /// Tokens in the context when decoding is timed.
    pub decode: Vec<usize>,
    /// Tokens of the prompts that are timed.
    pub prefill: Vec<usize>,
    /// Sides of the pictures that are timed, in pixels; none of a model that does not see.
    pub pictures: Vec<usize>,
    /// How many answers at once are timed.
    pub together: Vec<usize>,
    /// Tokens decoded at a time, at least 2.
    pub tokens: usize,
    /// Times each is done; the median counts.
    pub rounds: usize,
    /// Milliseconds after which nothing is done another time.
    pub patience_ms: f64,
    /// Whether the device's peaks are measured, and each kernel's share of them.
    pub kernels: bool,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            decode: vec![128, 1024, 4096],
            prefill: vec![512, 2048],
            pictures: vec![448, 1036],
            together: Vec::new(),
            tokens: 16,
            rounds: 3,
            patience_ms: 60e3,
            kernels: true,
        }
    }
}

impl BenchOptions {
    /// Tokens that the context must hold for all of it.
    pub fn context(&self) -> usize {
        let longest = self.decode.iter().chain(&self.prefill).copied().max().unwrap_or_default().max(FIRST_PROMPT);
        let pictures = self.pictures.iter().copied().map(picture_tokens).max().unwrap_or_default();
        let together = self.together.iter().copied().max().unwrap_or_default() * PAGE;
        (longest + self.behind()).max(pictures).max(together)
    }

    /// Tokens behind a prompt: what is decoded, and then the widest pass over drafts.
    fn behind(&self) -> usize {
        self.tokens + DRAFT_ROWS[DRAFT_ROWS.len() - 1]
    }
}

/// The most tokens that a picture's prompt and the first of its answer may take.
fn picture_tokens(side: usize) -> usize {
    let rows = side / SMALLEST_CELL + 1;
    rows * (rows + 1) + AROUND_PICTURE
}

/// Those sizes that a model has room for, of pictures if it sees. `tell` hears of the others.
fn fitting(engine: &Engine, options: &BenchOptions, tell: &mut dyn FnMut(&str)) -> BenchOptions {
    let (context, sees) = (engine.plan().context, definition(engine.config()).pictures().is_some());
    let mut keep = |what: &str, sizes: &[usize], needed: &dyn Fn(usize) -> usize| {
        let (fitting, others): (Vec<usize>, Vec<usize>) = sizes.iter().partition(|&&size| needed(size) <= context);
        others.iter().for_each(|size| tell(&format!("{what} {size}: no room in a context of {context}")));
        fitting
    };
    let BenchOptions { decode, prefill, pictures, .. } = options;
    let decode = keep("decode", decode, &|tokens| tokens + options.behind());
    let prefill = keep("prompt", prefill, &|tokens| tokens + options.behind());
    let pictures = if sees { keep("picture", pictures, &picture_tokens) } else { Vec::new() };
    BenchOptions { decode, prefill, pictures, ..options.clone() }
}

/// Times a model that has just been loaded: the first token, tokens behind long contexts, long prompts, pictures; and its kernels one by
/// one. Sizes that the context has no room for are left out. Answers are noise, and the conversation is gone afterwards. `tell` hears of
/// every figure.
///
/// # Errors
/// [`crate::Error::Aborted`], or what the device says.
pub async fn bench(
    engine: &mut Engine,
    options: &BenchOptions,
    control: &RequestControl,
    tell: &mut dyn FnMut(&str),
) -> Result<BenchReport> {
    let options = &fitting(engine, options, tell);
    let mut report = BenchReport::of(engine);
    let mut bench = Bench { engine, options, control, conversations: 0, measures: Vec::new(), tell };
    bench.first_token().await?;
    for &tokens in &options.prefill {
        bench.prefill(tokens).await?;
    }
    bench.decode_all().await?;
    for &count in &options.together {
        bench.together(count).await?;
    }
    for &side in &options.pictures {
        bench.picture(side).await?;
    }
    report.measures = std::mem::take(&mut bench.measures);
    if options.kernels {
        let timer = Timer::new(engine.gpu().clone(), engine.clock(), options.patience_ms).await?;
        let peaks = peaks::measure(&timer).await?;
        tell(&peaks.to_string());
        let works = options.decode.iter().map(|&tokens| Work::Decode { tokens });
        let works = works.chain(options.prefill.iter().map(|&tokens| Work::Prompt { tokens }));
        for work in works.chain(options.pictures.iter().map(|&side| Work::Picture { side })) {
            if let Some(shares) = shares::measure(engine, &timer, &peaks, work, (&report.measures, control)).await? {
                tell(&shares.to_string());
                report.works.push(shares);
            }
        }
        report.peaks = Some(peaks);
        engine.reset();
    }
    Ok(report)
}
