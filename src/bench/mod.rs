//! Speed of a model on a device compared with the peaks of the device, natively and in browsers.

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
pub use timer::Sides;
pub use work::Work;

use crate::engine::{Engine, RequestControl};
use crate::error::Result;
use crate::families::definition;
use crate::kernels::cache::PAGE;
use crate::model::DRAFT_ROWS;
use measures::Bench;
use timer::Timer;

/// Tokens of the prompt that is timed after loading.
const FIRST_PROMPT: usize = 64;
/// Side in pixels of the smallest square that takes one token, in any family.
const SMALLEST_CELL: usize = 28;
/// Tokens of a picture's prompt in addition to the picture's.
const AROUND_PICTURE: usize = 64;

/// Options of the benchmark.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BenchOptions {
    /// Context lengths for timing tokens.
    pub decode: Vec<usize>,
    /// Lengths of timed prompts in tokens.
    pub prefill: Vec<usize>,
    /// Sides of timed pictures in pixels; empty for text-only models.
    pub pictures: Vec<usize>,
    /// Timed numbers of answers at once.
    pub together: Vec<usize>,
    /// Tokens of a timed answer, at least 2.
    pub tokens: usize,
    /// Number of rounds; the median is reported.
    pub rounds: usize,
    /// Milliseconds after which nothing is repeated.
    pub patience_ms: f64,
    /// True to measure the device's peaks, and each kernel relative to them.
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
    /// Context length that all measurements need.
    pub fn context(&self) -> usize {
        let longest = self.decode.iter().chain(&self.prefill).copied().max().unwrap_or_default().max(FIRST_PROMPT);
        let pictures = self.pictures.iter().copied().map(picture_tokens).max().unwrap_or_default();
        let together = self.together.iter().copied().max().unwrap_or_default() * PAGE;
        (longest + self.tokens_after()).max(pictures).max(together)
    }

    /// Tokens after a prompt: the answer, and then the widest pass over drafts.
    fn tokens_after(&self) -> usize {
        self.tokens + DRAFT_ROWS[DRAFT_ROWS.len() - 1]
    }
}

/// Largest number of tokens in a picture's prompt and the first token of its answer.
fn picture_tokens(side: usize) -> usize {
    let rows = side / SMALLEST_CELL + 1;
    rows * (rows + 1) + AROUND_PICTURE
}

/// Sizes that fit the model. `tell` receives the others.
fn fitting(engine: &Engine, options: &BenchOptions, tell: &mut dyn FnMut(&str)) -> BenchOptions {
    let (context, sees) = (engine.plan().context, definition(engine.config()).pictures().is_some());
    let mut keep = |what: &str, sizes: &[usize], needed: &dyn Fn(usize) -> usize| {
        let (fitting, others): (Vec<usize>, Vec<usize>) = sizes.iter().partition(|&&size| needed(size) <= context);
        others.iter().for_each(|size| tell(&format!("{what} {size}: no room in a context of {context}")));
        fitting
    };
    let BenchOptions { decode, prefill, pictures, .. } = options;
    let decode = keep("decode", decode, &|tokens| tokens + options.tokens_after());
    let prefill = keep("prompt", prefill, &|tokens| tokens + options.tokens_after());
    let pictures = if sees { keep("picture", pictures, &picture_tokens) } else { Vec::new() };
    BenchOptions { decode, prefill, pictures, ..options.clone() }
}

/// Times a loaded model: the first token, tokens after long contexts, long prompts, pictures, and kernels one by one. Sizes beyond the context
/// are skipped. Answers are noise, and cached conversations are dropped. `tell` receives a line for every figure.
///
/// # Errors
/// [`crate::Error::Aborted`], or the errors of the device.
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
