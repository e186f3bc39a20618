//! `ocelli score`: every position's logits, to compare with another implementation.

use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::api::ScoreRequest;
use ocelli::chat::Tokenizer;
use ocelli::engine::{RequestControl, ScoredRows};
use ocelli::sampling::{log_softmax_top, logprob};
use ocelli::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::shared::args::MemoryArgs;
use crate::shared::ask::{self, PictureFolder};
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;

/// Likeliest tokens printed for each position.
const TOP: usize = 5;
/// Tokens of the longest prompt, if the model's context allows it.
const LONGEST: usize = 32_768;

/// Run a prompt and print, for every position, the log probability of the next token and the five likeliest tokens.
#[derive(Args)]
pub(crate) struct ScoreArgs {
    /// The package: a directory, or the name of a model that was pulled.
    pub(crate) package: PackagePath,
    /// JSON: `{"messages": [..]}` or `{"input_ids": [..], "images": ["a.png", ..]}`; picture paths count from its directory.
    request: PathBuf,
    /// Also write all logits, as tensor `logits` of type F32. `// [tokens, vocab]`
    #[arg(long, value_name = "OUT.safetensors")]
    logits: Option<PathBuf>,
    /// Tokens in one forward pass.
    #[arg(long)]
    chunk: Option<usize>,
    #[command(flatten)]
    memory: MemoryArgs,
}

#[derive(serde::Serialize)]
struct Output<'a> {
    input_ids: &'a [u32],
    positions: &'a [Position],
}

#[derive(serde::Serialize)]
struct Position {
    /// The token at this position.
    token: u32,
    /// The token that follows it in the prompt.
    next: Option<u32>,
    /// Natural logarithm of the probability of `next`.
    logprob: Option<f32>,
    /// The likeliest followers.
    top: Vec<Top>,
}

#[derive(serde::Serialize)]
struct Top {
    token: u32,
    logprob: f32,
    text: String,
}

pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    let text = io::read(&args.request)?;
    let ScoreRequest { prompt, picture_urls, details } = String::from_utf8_lossy(&text).parse()?;
    let folder = PictureFolder { base: args.request.parent().unwrap_or(Path::new("")), any_path: true };
    let pictures = picture_urls
        .iter()
        .zip(details)
        .map(|(url, detail)| ask::picture_at(url, detail, folder))
        .collect::<Result<Vec<_>>>()?;
    // Only whole prompts are scored.
    let mut engine = pollster::block_on(open::engine(&args.package, Some(LONGEST), &args.memory))?;
    let vocab = engine.config().text().vocab_size;
    let tokenizer = engine.tokenizer().clone();
    let (mut positions, mut kept) = (Vec::new(), Vec::new());
    let mut see = |rows: ScoredRows<'_>| {
        for (position, logits) in (rows.first..).zip(rows.logits.chunks_exact(vocab)) {
            positions.push(look(rows.input_ids, position, logits, &tokenizer));
        }
        if args.logits.is_some() {
            kept.extend_from_slice(rows.logits);
        }
        Ok(())
    };
    let chunk = args.chunk.unwrap_or(usize::MAX);
    let input_ids = pollster::block_on(engine.score(&prompt, &pictures, chunk, &RequestControl::new(), &mut see))?;
    if let Some(path) = &args.logits {
        write_logits(path, &kept, vec![input_ids.len(), vocab])?;
    }
    io::print(&io::json(&Output { input_ids: &input_ids, positions: &positions })?)
}

fn look(input_ids: &[u32], position: usize, logits: &[f32], tokenizer: &Tokenizer) -> Position {
    let next = input_ids.get(position + 1).copied();
    let name = |(token, logprob)| Top { token, logprob, text: tokenizer.decode(&[token]) };
    Position {
        token: input_ids[position],
        next,
        logprob: next.map(|next| logprob(logits, next)),
        top: log_softmax_top(logits, TOP).into_iter().map(name).collect(),
    }
}

fn write_logits(path: &Path, logits: &[f32], shape: Vec<usize>) -> Result<()> {
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let fault = |reason: String| Error::Io { path: path.display().to_string(), reason };
    let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|e| fault(e.to_string()))?;
    safetensors::serialize_to_file([("logits", view)], None, path).map_err(|e| fault(e.to_string()))
}
