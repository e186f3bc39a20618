//! Decoding within a grammar. The allowed tokens depend on the token before, so each token is read before the next draw. The CPU computes
//! the mask while the device computes logits. Forced tokens are not drawn, but computed together with the token before them.

use super::sampled_tokens::{DrawOf, SampledTokens};
use crate::engine::Engine;
use crate::engine::device::backend::Backend;
use crate::engine::events::{Clock, TokenLogprob};
use crate::error::{Error, Result};
use crate::grammar::Constraint;
use crate::model::{DRAFT_ROWS, LanguageModel};
use crate::sampling::SamplingOptions;

#[derive(Debug)]
pub(in crate::engine) struct Constrained {
    constraint: Box<dyn Constraint>,
    clock: Clock,
    /// True if sampled tokens are counted, for penalties.
    counts: bool,
    /// True if forced tokens are drawn like others, because their log probabilities are requested.
    draws_all: bool,
    /// True once the forced tokens at the start are known.
    begun: bool,
    /// Forced tokens so far.
    pub(in crate::engine) forced: usize,
    /// Milliseconds spent on the grammar.
    pub(in crate::engine) ms: f64,
}

impl Constrained {
    pub(in crate::engine) fn new(constraint: Box<dyn Constraint>, sampling: &SamplingOptions, clock: Clock) -> Self {
        let (counts, draws_all) = (sampling.adjusts(), sampling.logprobs.is_some());
        Self { constraint, clock, counts, draws_all, begun: false, forced: 0, ms: 0.0 }
    }

    fn timed<T>(&mut self, ask: impl FnOnce(&mut dyn Constraint) -> Result<T>) -> Result<T> {
        let started = (self.clock)();
        let answer = ask(&mut *self.constraint);
        self.ms += (self.clock)() - started;
        answer
    }

    /// Commits the drawn token, if there is one, and forced tokens after it, at most `most` in all. `ended` is set if no token may follow.
    fn take(&mut self, drawn: Option<u32>, most: usize) -> Result<SampledTokens> {
        let most = if self.draws_all { usize::from(drawn.is_some()) } else { most };
        self.timed(|constraint| {
            let mut tokens: Vec<u32> = drawn.into_iter().collect();
            let mut ended = commit(constraint, &tokens)?;
            while !ended && tokens.len() < most {
                let mut forced = constraint.forced()?;
                if forced.is_empty() {
                    break;
                }
                forced.truncate(most - tokens.len());
                ended = commit(constraint, &forced)?;
                tokens.append(&mut forced);
            }
            Ok(SampledTokens { tokens, drafts: 0, logprob: None, ended })
        })
        .inspect(|taken| self.forced += taken.tokens.len() - usize::from(drawn.is_some()))
    }

    fn mask(&mut self, words: &mut [u32]) -> Result<()> {
        let draws_all = self.draws_all;
        self.timed(|constraint| {
            let forced = if draws_all { constraint.forced()? } else { Vec::new() };
            let Some(&token) = forced.first() else { return constraint.mask(words) };
            words.fill(0);
            let word = words.get_mut(token as usize / 32);
            *word.ok_or_else(|| Error::Internal { detail: format!("the grammar wants token {token}") })? |=
                1 << (token % 32);
            Ok(())
        })
    }
}

/// Commits tokens that the grammar allows. Returns true if no token may follow.
///
/// # Errors
/// [`Error::InvalidGrammar`] also for a token that the mask allowed and the parser refuses: llguidance 1.9.1 does so for some Lark grammars
/// with `%ignore` (decision 14). The answer ends rather than breaking its format.
fn commit(constraint: &mut dyn Constraint, tokens: &[u32]) -> Result<bool> {
    let taken = constraint.commit(tokens)?;
    if taken < tokens.len() {
        let reason = format!("it allows token {} and then refuses it", tokens[taken]);
        return Err(Error::InvalidGrammar { reason });
    }
    constraint.is_finished()
}

impl<B: Backend> Engine<B> {
    /// Returns the next tokens after `answer`: forced ones, or a drawn one and the forced ones after it, at most `left` in all. The grammar
    /// has committed all of `answer`, and the conversation holds its first `held` tokens.
    pub(in crate::engine) async fn draw_within(
        &mut self,
        constrained: &mut Constrained,
        draw: &mut Option<DrawOf<B>>,
        sampling: &SamplingOptions,
        (answer, held): (&[u32], usize),
        left: usize,
    ) -> Result<SampledTokens> {
        if !std::mem::replace(&mut constrained.begun, true) {
            let taken = constrained.take(None, left)?;
            if !taken.tokens.is_empty() || taken.ended {
                return Ok(taken);
            }
        }
        let before = self.conversation.entries().len();
        let drawn = self.draw_one(constrained, draw, sampling, (answer, held)).await;
        let (drawn, logprob) = drawn.inspect_err(|_| {
            // It is unknown whether the submitted work succeeded.
            *draw = None;
            self.conversation.truncate(before);
        })?;
        if self.backend.manifest().chat.eos_token_ids.contains(&drawn) {
            return Ok(SampledTokens { tokens: vec![drawn], drafts: 0, logprob, ended: false });
        }
        Ok(SampledTokens { logprob, ..constrained.take(Some(drawn), left)? })
    }

    /// Computes the known tokens and draws the next one.
    async fn draw_one(
        &mut self,
        constrained: &mut Constrained,
        draw: &mut Option<DrawOf<B>>,
        sampling: &SamplingOptions,
        (answer, held): (&[u32], usize),
    ) -> Result<(u32, Option<TokenLogprob>)> {
        let known = &answer[held..];
        let row = self.compute(known, held).await?;
        let model = self.backend.model()?;
        // Tokens that were not drawn must be counted too, by a new draw.
        let goes_on = !constrained.counts || known.len() <= 1;
        let mask = &mut |words: &mut [u32]| constrained.mask(words);
        let current = match draw.take().filter(|_| goes_on) {
            Some(mut current) => {
                self.conversation.draw_among(model, &mut current, (answer.len(), row), mask)?;
                current
            }
            None => self.conversation.begin(model, sampling, answer, row, Some(mask)).await?,
        };
        let token = model.read_token(draw.insert(current)).await?;
        Ok((token, self.logprob(token, row, sampling).await?))
    }

    /// Computes known tokens after `drawn` others, several per pass if that is faster. Results are bit-identical to single steps. Returns
    /// the row of the last token's logits.
    async fn compute(&mut self, mut known: &[u32], mut drawn: usize) -> Result<usize> {
        let mut row = 0;
        while let Some(&token) = known.first() {
            let (count, rows) = self.rows_for(known.len())?;
            let model = self.backend.model()?;
            let inputs: Vec<u32> = known.iter().copied().chain(std::iter::repeat(0)).take(rows).collect();
            let computed = if rows > 1 && self.conversation.drafts_match_steps(model, &inputs, drawn).await? {
                row = self.conversation.forward_known(model, &known[..count], rows).await?;
                count
            } else {
                self.conversation.reserve(model, 1).await?;
                self.conversation.step_again(model, token).await?;
                row = 0;
                1
            };
            (known, drawn) = (&known[computed..], drawn + computed);
        }
        Ok(row)
    }

    /// Number of `known` tokens to compute next, and rows of the pass; both 1 for a step.
    fn rows_for(&mut self, known: usize) -> Result<(usize, usize)> {
        let room = self.backend.context().saturating_sub(self.conversation.entries().len());
        let wanted = DRAFT_ROWS.into_iter().find(|&rows| rows >= known).unwrap_or(DRAFT_ROWS[DRAFT_ROWS.len() - 1]);
        let rows = self.conversation.draft_rows(self.backend.model()?, wanted.min(room)).unwrap_or(1);
        let count = known.min(rows);
        let pays = self.speculation.always() || self.latency.steps(rows) < count as f64;
        Ok(if count > 1 && pays { (count, rows) } else { (1, 1) })
    }
}
