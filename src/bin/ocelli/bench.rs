//! `ocelli bench`: how fast a package runs on this device.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{Cancel, Completion, Detail, Engine, Picture, Prompt, Request};
use ocelli::families::{Role as TensorRole, definition};
use ocelli::gpu::DeviceReport;
use ocelli::image::Rgb8;
use ocelli::model::DRAFT_ROWS;
use ocelli::sampling::SamplingOptions;
use ocelli::weights::selection::tensors_with_specs;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::open::{self, LoadReport};

/// Tokens of the prompt whose first token is timed right after loading.
const FIRST_PROMPT: usize = 64;
/// Tokens that begin no control sequence.
const FIRST_WORD: u32 = 1000;
/// Tokens of a picture's prompt that are not the picture's.
const AROUND_PICTURE: usize = 64;

/// Time a model on this device: loading, the first token, tokens behind long contexts, long prompts, pictures. Answers are noise.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// The package.
    package: PathBuf,
    /// Tokens in the context when decoding is timed.
    #[arg(long, value_delimiter = ',', default_value = "128,1024,4096")]
    decode: Vec<usize>,
    /// Tokens of the prompts that are timed.
    #[arg(long, value_delimiter = ',', default_value = "512,2048")]
    prefill: Vec<usize>,
    /// Sides of the pictures that are timed, in pixels; none for a model that does not see.
    #[arg(long, value_delimiter = ',', default_value = "448,1024", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pictures: Vec<u32>,
    /// Tokens decoded at a time, at least 2.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    tokens: u32,
    /// Times each is done; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds after which nothing is done another time.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    memory: open::MemoryArgs,
}

/// A Markdown table on standard output.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let report = pollster::block_on(measure(args))?;
    if let Some(path) = &args.json {
        std::fs::write(path, crate::json(&report)?).map_err(|e| Error::io(path.display(), &e))?;
    }
    crate::print_text(&report.to_string())
}

async fn measure(args: &BenchArgs) -> Result<BenchReport> {
    let longest = args.decode.iter().chain(&args.prefill).copied().max().unwrap_or_default().max(FIRST_PROMPT);
    // What is decoded, and behind it the widest pass over drafts.
    let context = longest.max(picture_tokens(args)) + args.tokens as usize + DRAFT_ROWS[DRAFT_ROWS.len() - 1];
    let (engine, load) = open::load(&args.package, Some(context), &args.memory).await?;
    let mut bench =
        Bench { engine, rounds: args.rounds, patience: Duration::from_secs(args.patience), conversations: 0 };
    let ids = bench.fresh(FIRST_PROMPT);
    let cold = bench.answer(&ids, 1).await?;
    let manifest = bench.engine.manifest();
    let mut report = BenchReport {
        model: manifest.name.clone(),
        quantization: manifest.quantization.to_string(),
        kv: bench.engine.plan().kv,
        device: bench.engine.gpu().report().clone(),
        self_test_ms: bench.engine.self_test().ms,
        weight_bytes: weight_bytes(&bench.engine),
        load,
        measures: Vec::new(),
    };
    report.push(Measure::new("first token after loading", FIRST_PROMPT, 1, vec![first_token(&cold)]));
    bench.prefill(&mut report, FIRST_PROMPT).await?;
    for &tokens in &args.prefill {
        bench.prefill(&mut report, tokens).await?;
    }
    let mut depths = args.decode.clone();
    // Each context is the beginning of the next one.
    depths.sort_unstable();
    let words = bench.fresh(longest);
    for depth in depths {
        bench.decode(&mut report, &words[..depth.max(1)], args.tokens as usize).await?;
    }
    if definition(bench.engine.config()).pictures().is_some() {
        for &side in &args.pictures {
            bench.picture(&mut report, side).await?;
        }
    }
    Ok(report)
}

/// The most tokens that a picture's prompt may take: patches cannot be smaller than the smallest there are.
fn picture_tokens(args: &BenchArgs) -> usize {
    const SQUARE: usize = 28;
    let rows = args.pictures.iter().copied().max().unwrap_or_default() as usize / SQUARE + 1;
    rows * (rows + 1) + AROUND_PICTURE
}

/// Milliseconds from the request to its first token.
fn first_token(completion: &Completion) -> f64 {
    let timings = completion.timings;
    timings.prepare_ms + timings.vision_ms + timings.prefill_ms + timings.decode_ms
}

struct Bench {
    engine: Engine,
    rounds: u32,
    patience: Duration,
    /// Conversations so far: each has words of its own, so that the cache holds nothing of it.
    conversations: u32,
}

impl Bench {
    /// Ids of a conversation that has not been before.
    fn fresh(&mut self, tokens: usize) -> Vec<u32> {
        self.conversations += 1;
        let vocab = self.engine.config().text().vocab_size as u32;
        let (first, count) = if vocab > 2 * FIRST_WORD { (FIRST_WORD, vocab - FIRST_WORD) } else { (0, vocab) };
        let image = definition(self.engine.config()).pictures().map(|rules| rules.image_token());
        let mut state = self.conversations;
        let word = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = first + (state >> 8) % count;
            if Some(id) == image { id + 1 } else { id }
        };
        (0..tokens).map(word).collect()
    }

    /// Counts rounds while there is patience.
    fn rounds(&self) -> impl Iterator<Item = u32> + use<> {
        let (began, patience) = (Instant::now(), self.patience);
        (0..self.rounds).take_while(move |&round| round == 0 || began.elapsed() < patience)
    }

    async fn answer(&mut self, ids: &[u32], max_tokens: usize) -> Result<Completion> {
        self.complete(Prompt::Ids(ids.to_vec()), Vec::new(), max_tokens).await
    }

    async fn complete(&mut self, prompt: Prompt, pictures: Vec<Picture>, max_tokens: usize) -> Result<Completion> {
        let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let request =
            Request { prompt, pictures, sampling, max_tokens: Some(max_tokens), stop: Vec::new(), grammar: None };
        self.engine.generate(&request, &Cancel::new(), &mut |event| crate::tell(&event)).await
    }

    /// Prompts of so many tokens, nothing of them in the cache.
    async fn prefill(&mut self, report: &mut BenchReport, tokens: usize) -> Result<()> {
        let mut times = Vec::new();
        for _ in self.rounds() {
            let ids = self.fresh(tokens);
            times.push(self.answer(&ids, 1).await?.timings.prefill_ms);
        }
        report.push(Measure::new("prompt", tokens, tokens, times));
        Ok(())
    }

    /// Tokens behind `context`; the same ones in every round.
    async fn decode(&mut self, report: &mut BenchReport, context: &[u32], tokens: usize) -> Result<()> {
        let (mut times, mut said, mut steps) = (Vec::new(), None, 1);
        for _ in self.rounds() {
            let completion = self.answer(context, tokens).await?;
            let same = said.get_or_insert_with(|| completion.tokens.clone());
            if *same != completion.tokens {
                return Err(Error::Internal { detail: "equal prompts were answered differently".into() });
            }
            // The first token comes with the prompt.
            steps = completion.tokens.len().max(2) - 1;
            times.push(completion.timings.decode_ms);
        }
        report.push(Measure::new("decode", context.len(), steps, times));
        self.passes(report, context.len()).await
    }

    /// Passes that verify drafts, as if all of them were right.
    async fn passes(&mut self, report: &mut BenchReport, depth: usize) -> Result<()> {
        for (rows, what) in [(4, "decode, drafts of 3 right"), (8, "decode, drafts of 7 right")] {
            let mut times = Vec::new();
            // The first one is made ready besides.
            for round in 0..=self.rounds {
                match self.engine.time_pass(rows).await? {
                    Some(ms) if round > 0 => times.push(ms),
                    Some(_) => {}
                    None => break,
                }
            }
            if !times.is_empty() {
                report.push(Measure::new(what, depth, rows, times));
            }
        }
        Ok(())
    }

    /// A picture of noise: the tower, and the whole way to the first token.
    async fn picture(&mut self, report: &mut BenchReport, side: u32) -> Result<()> {
        let (mut seen, mut first, mut tokens) = (Vec::new(), Vec::new(), 0);
        for _ in self.rounds() {
            let pixels = self.fresh(3 * (side * side) as usize).into_iter().map(|id| id as u8).collect();
            let picture = Picture::rgb(Rgb8 { width: side, height: side, pixels }).at(Detail::High);
            let content = vec![ContentPart::Image(0), ContentPart::Text("?".into())];
            let prompt = Prompt::Messages(vec![Message { role: Role::User, content }]);
            let completion = self.complete(prompt, vec![picture], 1).await?;
            tokens = completion.usage.prompt_tokens;
            seen.push(completion.timings.vision_ms);
            first.push(first_token(&completion));
        }
        report.push(Measure::new("picture encoded", side as usize, 1, seen));
        report.push(Measure::new("picture to first token", tokens, 1, first));
        Ok(())
    }
}

/// What was measured, of which model, on which device.
#[derive(Debug, Serialize)]
struct BenchReport {
    model: String,
    quantization: String,
    kv: KvPrecision,
    device: DeviceReport,
    self_test_ms: f64,
    /// Bytes of weights that a token of the answer reads.
    weight_bytes: u64,
    load: LoadReport,
    measures: Vec<Measure>,
}

/// One row.
#[derive(Debug, Serialize)]
struct Measure {
    what: &'static str,
    /// Tokens of the prompt or of the context, or pixels of a picture's side.
    size: usize,
    /// Steps that each time is of: tokens, or 1.
    steps: usize,
    /// Milliseconds, in the order measured.
    times: Vec<f64>,
    median_ms: f64,
}

impl Measure {
    fn new(what: &'static str, size: usize, steps: usize, times: Vec<f64>) -> Self {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        let median_ms = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Self { what, size, steps, times, median_ms }
    }

    fn ms_a_step(&self) -> f64 {
        self.median_ms / self.steps as f64
    }
}

impl BenchReport {
    fn push(&mut self, measure: Measure) {
        open::inform(&format!("{} {}: {:.1} ms", measure.what, measure.size, measure.median_ms));
        self.measures.push(measure);
    }
}

/// All of the decoder, but of an embedding that is not the head as well one row only, which does not count.
fn weight_bytes(engine: &Engine) -> u64 {
    let tied = engine.config().text().tie_word_embeddings;
    let read = |role: TensorRole| role.is_text() && (role != TensorRole::Embedding || tied);
    let tensors = tensors_with_specs(engine.manifest()).filter(|(spec, _)| read(spec.role));
    tensors.flat_map(|(_, entry)| &entry.planes).map(|plane| plane.bytes).sum()
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceReport { name, backend, driver, .. } = &self.device;
        writeln!(
            f,
            "{} ({}, cache {}) on {name} ({backend}, {driver}); {}",
            self.model, self.quantization, self.kv, self.load
        )?;
        writeln!(f, "\n| what | size | ms | rate | range of ms |\n|---|---|---|---|---|")?;
        for measure in &self.measures {
            let Measure { what, size, median_ms, times, .. } = measure;
            let seconds = measure.ms_a_step() / 1e3;
            let rate = match *what {
                "prompt" => format!("{:.1} tokens/s", 1.0 / seconds),
                "decode" => {
                    let gigabytes = self.weight_bytes as f64 / 1e9 / seconds;
                    format!("{:.2} tokens/s, {gigabytes:.2} GB/s of weights", 1.0 / seconds)
                }
                _ if what.starts_with("decode") => format!("{:.2} tokens/s", 1.0 / seconds),
                _ => String::new(),
            };
            let shown = if *what == "decode" { measure.ms_a_step() } else { *median_ms };
            let (least, most) = times.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &t| (a.min(t), b.max(t)));
            writeln!(f, "| {what} | {size} | {shown:.1} | {rate} | {least:.1} to {most:.1} |")?;
        }
        Ok(())
    }
}
