//! Token by token: the GPU draws each one and goes on with it, and the CPU reads along, a step behind. Where what comes next can be
//! guessed, several tokens are verified at once.

use super::events::FinishReason;
use super::generate::{Answer, Prefilled};
use super::load::Resident;
use super::recover::Run;
use super::session::ContextEntry;
use super::speculate::{Speculation, Speculator};
use super::{Engine, Request};
use crate::chat::TextStream;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Prepared, Readback, Recording};
use crate::kernels::sample::{self, Rules, Sampling};
use crate::kernels::sample_filter;
use crate::kernels::self_test::check;
use crate::model::Model;
use crate::model::step::{RESULT, StepHeader};
use crate::sampling::SamplingOptions;

/// An answer that is being drawn.
#[derive(Debug)]
pub(super) struct Drawing {
    /// Draws a token from the logits and hands it to the next step.
    draw: Prepared,
    /// What the draws read and count.
    _sampling: Sampling,
    /// Results of the draw that is waited for, and of the one behind it.
    pub(super) readbacks: [Readback; 2],
    /// The last token, if nothing has been submitted behind it.
    pub(super) known: Option<u32>,
    /// When the last token came, if the next one was on its way.
    arrived: Option<f64>,
}

impl Drawing {
    pub(super) fn new(gpu: &Gpu, model: &Model, options: &SamplingOptions, drawn: &[u32]) -> Result<Self> {
        let sampling = Sampling::new(gpu, model.config().text().vocab_size, options, drawn)?;
        let (logits, step) = model.choice()?;
        let mut recording = Recording::on(gpu.kernel_config());
        sampling.record(&mut recording, &logits, &step)?;
        let draw = gpu.prepare("draw", &recording)?;
        let readbacks = [gpu.readback(RESULT)?, gpu.readback(RESULT)?];
        Ok(Self { draw, _sampling: sampling, readbacks, known: None, arrived: None })
    }
}

/// How far an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Tokens drawn.
    pub(super) drawn: usize,
    /// Tokens that may follow.
    pub(super) left: usize,
}

/// Tokens that came at once.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) tokens: Vec<u32>,
    /// The first of them, which were drafts.
    pub(super) drafts: usize,
}

impl Engine {
    /// Draws the answer behind a prompt that is in the cache.
    pub(super) async fn decode(
        &mut self,
        request: &Request,
        prefilled: Prefilled,
        run: &mut Run<'_>,
    ) -> Result<Answer> {
        let mut answer = Answer::default();
        let decoded = self.decode_into(&mut answer, request, prefilled, run).await;
        // Of what was verified at once the answer may have taken the first tokens only.
        let kept = prefilled.tokens + answer.taken;
        self.session.truncate(kept);
        if let Some(resident) = &mut self.resident {
            resident.cache.truncate(kept);
        }
        decoded.map(|()| answer)
    }

    async fn decode_into(
        &mut self,
        answer: &mut Answer,
        request: &Request,
        prefilled: Prefilled,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let room = self.plan.context - prefilled.tokens;
        let limit = request.max_tokens.map_or(room, |max| max.min(room));
        let mut stream = TextStream::new(request.stop.clone());
        let mut speculator = self.speculator(&request.sampling)?;
        let mut drawing = None;
        run.cancel.check()?;
        while answer.tokens.len() < limit && answer.finish_reason != FinishReason::Stop {
            let progress = Progress { drawn: answer.tokens.len(), left: limit - answer.tokens.len() };
            let step = async |engine: &mut Self, _: &mut Run<'_>| {
                // Whatever goes wrong, it is begun anew.
                let mut current = match drawing.take() {
                    Some(current) => current,
                    None => engine.begin(request, prefilled, &answer.tokens).await?,
                };
                let drawn = engine.draw_some(&mut current, &mut speculator, progress).await?;
                drawing = Some(current);
                Ok(drawn)
            };
            let drawn = match self.surviving(run, step).await {
                Ok(drawn) => drawn,
                Err(error) => {
                    // Nobody has seen whether the last pass succeeded.
                    if let Some(first) = self.session.last_pass() {
                        self.rewind(first, &[]);
                    }
                    return Err(error);
                }
            };
            self.take(answer, drawn, &mut stream, run)?;
            answer.drafted = speculator.drafted;
        }
        answer.say(stream.finish(), run.on_event);
        Ok(())
    }

    /// Adds tokens to the answer, up to one that ends it.
    fn take(&self, answer: &mut Answer, drawn: Drawn, stream: &mut TextStream, run: &mut Run<'_>) -> Result<()> {
        for (index, token) in drawn.tokens.into_iter().enumerate() {
            answer.taken += 1;
            if self.manifest.chat.eos_token_ids.contains(&token) {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            answer.tokens.push(token);
            answer.accepted += usize::from(index < drawn.drafts);
            // Control tokens other than the end print nothing.
            let text = stream.push(self.tokenizer.token_bytes(token).unwrap_or_default());
            answer.say(text, run.on_event);
            if stream.is_stopped() {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            run.cancel.check()?;
        }
        Ok(())
    }

    /// Whether and when this answer's tokens are guessed: only the likeliest token can be.
    fn speculator(&self, sampling: &SamplingOptions) -> Result<Speculator> {
        let rules = Rules::new(self.config().text().vocab_size, sampling)?;
        let can = rules.is_greedy() && !rules.adjusts() && self.plan.rows.text.step > 1;
        Ok(Speculator::new(if can { self.speculation } else { Speculation::Off }))
    }

    /// Has the next token drawn, behind those that have been.
    async fn begin(&mut self, request: &Request, prefilled: Prefilled, drawn: &[u32]) -> Result<Drawing> {
        let gpu = self.gpu.clone();
        // The last token may not have been waited for by a step when the device was lost.
        if let Some(&token) = drawn.last().filter(|_| self.session.slots().len() < prefilled.tokens + drawn.len()) {
            self.resident_mut()?.cache.reserve(1).await?;
            self.step_again(token)?;
        }
        let needs_head = !self.session.ends_in_step();
        if request.sampling.filters() && !self.filter_is_tested {
            check(&gpu, &[sample_filter::kernel()]).await?;
            self.filter_is_tested = true;
        }
        let Resident { model, cache, .. } = self.resident_mut()?;
        // The draw counts the position up.
        let position = cache.len().saturating_sub(1);
        model.start_steps(StepHeader { token: 0, position, drawn: drawn.len() })?;
        if needs_head {
            model.head(prefilled.last_row)?;
        }
        let mut drawing = Drawing::new(&gpu, model, &request.sampling, drawn)?;
        let (_, step) = model.choice()?;
        gpu.submit(&[&drawing.draw], Some((&step, &mut drawing.readbacks[0])));
        Ok(drawing)
    }

    /// The next tokens: the one that is being drawn, or as many as a pass verifies.
    async fn draw_some(
        &mut self,
        drawing: &mut Drawing,
        speculator: &mut Speculator,
        progress: Progress,
    ) -> Result<Drawn> {
        if let Some(known) = drawing.known {
            if let Some(draft) = self.propose(speculator, Some(known), progress.left)
                && let Some(drawn) = self.verify(drawing, speculator, (known, draft), progress).await?
            {
                return Ok(drawn);
            }
            self.go_on(drawing, known).await?;
        }
        // What comes next can be guessed as soon as this token is known: nothing is submitted before it is.
        let waits = progress.left > 1 && self.propose(speculator, None, progress.left - 1).is_some();
        let goes_on = progress.left > 1 && !waits;
        let token = self.draw(drawing, goes_on).await?;
        drawing.known = (!goes_on).then_some(token);
        let now = (self.clock)();
        if let Some(before) = drawing.arrived.filter(|_| goes_on) {
            self.latency.stepped(now - before);
        }
        drawing.arrived = goes_on.then_some(now);
        speculator.stepped();
        Ok(Drawn { tokens: vec![token], drafts: 0 })
    }

    /// Submits the step of a token that is known, and the draw behind it.
    async fn go_on(&mut self, drawing: &mut Drawing, known: u32) -> Result<()> {
        let gpu = self.gpu.clone();
        let Resident { model, cache, .. } = self.resident_mut()?;
        cache.reserve(1).await?;
        let (_, step) = model.choice()?;
        let pass = model.ready_step(cache, cache.len())?;
        gpu.submit(&[pass, &drawing.draw], Some((&step, &mut drawing.readbacks[0])));
        cache.advance(1);
        self.session.extend_by_step(ContextEntry::Token(known));
        (drawing.known, drawing.arrived) = (None, None);
        Ok(())
    }

    /// Waits for the token that is being drawn. If the answer `goes_on`, the next one is on its way before this one is there.
    async fn draw(&mut self, drawing: &mut Drawing, goes_on: bool) -> Result<u32> {
        let gpu = self.gpu.clone();
        let Resident { model, cache, .. } = self.resident_mut()?;
        if goes_on {
            cache.reserve(1).await?;
            let (_, step) = model.choice()?;
            let pass = model.ready_step(cache, cache.len())?;
            gpu.submit(&[pass, &drawing.draw], Some((&step, &mut drawing.readbacks[1])));
        }
        let token = sample::read(result(&gpu.fetch(&mut drawing.readbacks[0]).await?)?)?;
        if goes_on {
            drawing.readbacks.swap(0, 1);
            cache.advance(1);
            self.session.extend_by_step(ContextEntry::Token(token));
        }
        Ok(token)
    }

    /// Takes the step of one token again, as it was taken before.
    pub(super) fn step_again(&mut self, token: u32) -> Result<()> {
        let gpu = self.gpu.clone();
        let Resident { model, cache, .. } = self.resident_mut()?;
        let position = cache.len();
        model.start_steps(StepHeader { token, position, drawn: 0 })?;
        let pass = model.ready_step(cache, position)?;
        gpu.submit(&[pass], None);
        cache.advance(1);
        self.session.extend_by_step(ContextEntry::Token(token));
        Ok(())
    }
}

/// Token, position and tokens drawn.
pub(super) fn result(bytes: &[u8]) -> Result<[u32; 3]> {
    match bytemuck::pod_collect_to_vec(bytes)[..] {
        [token, position, drawn, _] => Ok([token, position, drawn]),
        _ => Err(Error::Internal { detail: format!("a result of {} bytes", bytes.len()) }),
    }
}
