//! Timed requests.

use super::work::Work;
use super::{BenchOptions, FIRST_PROMPT};
use crate::chat::{ContentPart, Message, Role};
use crate::engine::{Completion, Detail, Engine, Picture, Prompt, Request, RequestControl};
use crate::error::{Error, Result};
use crate::families::definition;
use crate::image::Rgb8;
use crate::sampling::SamplingOptions;

/// First of the token ids that are not control tokens.
const FIRST_WORD: u32 = 1000;

/// A row of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum What {
    /// The first token after loading.
    #[strum(serialize = "first token after loading")]
    FirstToken,
    /// A prompt without cached tokens.
    Prompt,
    /// Tokens one after another.
    Decode,
    /// A pass over a token and 3 drafts, all accepted.
    #[strum(serialize = "decode, drafts of 3 right")]
    DraftsOf3,
    /// A pass over a token and 7 drafts, all accepted.
    #[strum(serialize = "decode, drafts of 7 right")]
    DraftsOf7,
    /// A batch of answers.
    #[strum(serialize = "answers at once")]
    Together,
    /// A picture through the tower.
    #[strum(serialize = "picture encoded")]
    Picture,
    /// A picture, to the first token of its answer.
    #[strum(serialize = "picture to first token")]
    PictureToFirstToken,
}

/// Times of a measurement.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// Kind of work.
    pub what: What,
    /// Tokens of the prompt or of the context, side of a picture in pixels, or number of answers.
    pub size: usize,
    /// Number of steps in each time: tokens, or 1.
    pub steps: usize,
    /// Milliseconds, in the order of measurement.
    pub times: Vec<f64>,
    /// Median of the times.
    pub median_ms: f64,
}

impl Measure {
    pub(super) fn new(what: What, size: usize, steps: usize, times: Vec<f64>) -> Self {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        let median_ms = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Self { what, size, steps, times, median_ms }
    }

    /// Milliseconds of a step: of a token, or of the whole work.
    pub fn ms_a_step(&self) -> f64 {
        self.median_ms / self.steps as f64
    }

    /// Milliseconds in the report: of a token of an answer, or of the whole work.
    pub(super) fn shown_ms(&self) -> f64 {
        if matches!(self.what, What::Decode | What::Together) { self.ms_a_step() } else { self.median_ms }
    }

    /// Returns true if this is a measurement of `work`.
    pub(super) fn is_of(&self, work: Work) -> bool {
        let of = match work {
            Work::Decode { tokens } => (What::Decode, tokens),
            Work::Prompt { tokens } => (What::Prompt, tokens),
            Work::Picture { side } => (What::Picture, side),
        };
        of == (self.what, self.size)
    }
}

/// Milliseconds from the request to its first token.
fn first_token(completion: &Completion) -> f64 {
    let timings = completion.timings;
    timings.prepare_ms + timings.vision_ms + timings.prefill_ms + timings.decode_ms
}

pub(super) struct Bench<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) options: &'a BenchOptions,
    pub(super) control: &'a RequestControl,
    /// Number of conversations so far. Each has its own words, so that none of it is cached.
    pub(super) conversations: u32,
    pub(super) measures: Vec<Measure>,
    /// Receives a line for each measurement.
    pub(super) tell: &'a mut dyn FnMut(&str),
}

impl Bench<'_> {
    pub(super) fn push(&mut self, measure: Measure) {
        (self.tell)(&format!("{} {}: {:.1} ms", measure.what, measure.size, measure.shown_ms()));
        self.measures.push(measure);
    }

    /// Token ids of a new conversation.
    pub(super) fn fresh(&mut self, tokens: usize) -> Vec<u32> {
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

    /// Rounds, within the limit of time.
    pub(super) fn rounds(&self) -> impl Iterator<Item = usize> + use<> {
        let (clock, patience) = (self.engine.clock(), self.options.patience_ms);
        let began = clock();
        (0..self.options.rounds.max(1)).take_while(move |&round| round == 0 || clock() - began < patience)
    }

    pub(super) async fn answer(&mut self, ids: &[u32], max_tokens: usize) -> Result<Completion> {
        self.complete(Prompt::Ids(ids.to_vec()), Vec::new(), max_tokens).await
    }

    async fn complete(&mut self, prompt: Prompt, pictures: Vec<Picture>, max_tokens: usize) -> Result<Completion> {
        let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let request =
            Request { prompt, pictures, sampling, max_tokens: Some(max_tokens), stop: Vec::new(), grammar: None };
        self.engine.generate(&request, self.control, &mut |_| ()).await
    }

    /// The first token after loading, and of the same prompt later.
    pub(super) async fn first_token(&mut self) -> Result<()> {
        let ids = self.fresh(FIRST_PROMPT);
        let cold = self.answer(&ids, 1).await?;
        self.push(Measure::new(What::FirstToken, FIRST_PROMPT, 1, vec![first_token(&cold)]));
        self.prefill(FIRST_PROMPT).await
    }

    /// Prompts of `tokens` tokens, without cached ones.
    pub(super) async fn prefill(&mut self, tokens: usize) -> Result<()> {
        let mut times = Vec::new();
        for _ in self.rounds() {
            let ids = self.fresh(tokens);
            times.push(self.answer(&ids, 1).await?.timings.prefill_ms);
        }
        self.push(Measure::new(What::Prompt, tokens, tokens, times));
        Ok(())
    }

    /// Tokens after every requested context.
    pub(super) async fn decode_all(&mut self) -> Result<()> {
        let mut depths = self.options.decode.clone();
        // Each context is the beginning of the next one.
        depths.sort_unstable();
        let words = self.fresh(depths.last().copied().unwrap_or_default());
        for depth in depths {
            self.decode(&words[..depth.max(1).min(words.len())]).await?;
        }
        Ok(())
    }

    /// Tokens after `context`; the same ones in every round.
    async fn decode(&mut self, context: &[u32]) -> Result<()> {
        let (mut times, mut said, mut steps) = (Vec::new(), None, 1);
        for _ in self.rounds() {
            let completion = self.answer(context, self.options.tokens.max(2)).await?;
            let same = said.get_or_insert_with(|| completion.tokens.clone());
            if *same != completion.tokens {
                return Err(Error::Internal { detail: "equal prompts were answered differently".into() });
            }
            // The first token belongs to the prompt.
            steps = completion.tokens.len().max(2) - 1;
            times.push(completion.timings.decode_ms);
        }
        self.push(Measure::new(What::Decode, context.len(), steps, times));
        self.passes(context.len()).await
    }

    /// Passes that verify drafts, all of them accepted.
    async fn passes(&mut self, depth: usize) -> Result<()> {
        for (rows, what) in [(4, What::DraftsOf3), (8, What::DraftsOf7)] {
            let mut times = Vec::new();
            // The first pass also includes preparation.
            for round in 0..=self.options.rounds {
                match self.engine.time_pass(rows).await? {
                    Some(ms) if round > 0 => times.push(ms),
                    Some(_) => {}
                    None => break,
                }
            }
            if !times.is_empty() {
                self.push(Measure::new(what, depth, rows, times));
            }
        }
        Ok(())
    }

    /// A picture of noise: its tower, and the time to the first token.
    pub(super) async fn picture(&mut self, side: usize) -> Result<()> {
        let (mut seen, mut first, mut tokens) = (Vec::new(), Vec::new(), 0);
        for _ in self.rounds() {
            let pixels = self.fresh(3 * side * side).into_iter().map(|id| id as u8).collect(); // [side, side, 3]
            let picture = Picture::rgb(Rgb8 { width: side as u32, height: side as u32, pixels }).at(Detail::High);
            let content = vec![ContentPart::Image(0), ContentPart::Text("?".into())];
            let prompt = Prompt::Messages(vec![Message { role: Role::User, content }]);
            let completion = self.complete(prompt, vec![picture], 1).await?;
            tokens = completion.usage.prompt_tokens;
            seen.push(completion.timings.vision_ms);
            first.push(first_token(&completion));
        }
        self.push(Measure::new(What::Picture, side, 1, seen));
        self.push(Measure::new(What::PictureToFirstToken, tokens, 1, first));
        Ok(())
    }
}
