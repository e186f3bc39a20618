//! Token by token: the GPU draws each one and goes on with it, and the CPU reads along, a step behind.

use super::events::FinishReason;
use super::generate::{Answer, Prefilled};
use super::load::Resident;
use super::recover::Run;
use super::session::Slot;
use super::{Engine, Request};
use crate::chat::TextStream;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Prepared, Readback, Recording};
use crate::kernels::sample::{self, Sampling};
use crate::kernels::self_test::self_test_filter;
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
    readbacks: [Readback; 2],
}

impl Drawing {
    pub(super) fn new(gpu: &Gpu, model: &Model, options: &SamplingOptions, drawn: &[u32]) -> Result<Self> {
        let sampling = Sampling::new(gpu, model.config().text.vocab_size, options, drawn)?;
        let (logits, step) = model.choice()?;
        let mut recording = Recording::on(gpu.ways());
        sampling.record(&mut recording, &logits, &step)?;
        let draw = gpu.prepare("draw", &recording)?;
        Ok(Self { draw, _sampling: sampling, readbacks: [gpu.readback(RESULT)?, gpu.readback(RESULT)?] })
    }
}

impl Engine {
    /// Draws the answer behind a prompt that is in the cache.
    pub(super) async fn decode(
        &mut self,
        request: &Request,
        prefilled: Prefilled,
        run: &mut Run<'_>,
    ) -> Result<Answer> {
        let room = self.plan.context - prefilled.tokens;
        let limit = request.max_tokens.map_or(room, |max| max.min(room));
        let mut answer = Answer { text: String::new(), tokens: Vec::new(), finish_reason: FinishReason::Length };
        let mut stream = TextStream::new(request.stop.clone());
        let mut drawing = None;
        run.cancel.check()?;
        while answer.tokens.len() < limit {
            let goes_on = answer.tokens.len() + 1 < limit;
            let step = async |engine: &mut Self, _: &mut Run<'_>| {
                // Whatever goes wrong, it is begun anew.
                let mut current = match drawing.take() {
                    Some(current) => current,
                    None => engine.begin(request, prefilled, &answer.tokens).await?,
                };
                let token = engine.draw(&mut current, goes_on).await?;
                drawing = Some(current);
                Ok(token)
            };
            let token = match self.surviving(run, step).await {
                Ok(token) => token,
                Err(error) => {
                    // Nobody has seen whether the last pass succeeded.
                    if let Some(first) = self.session.last_pass() {
                        self.rewind(first, &[]);
                    }
                    return Err(error);
                }
            };
            if self.manifest.chat.eos_token_ids.contains(&token) {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            answer.tokens.push(token);
            // Control tokens other than the end print nothing.
            let text = stream.push(self.tokenizer.token_bytes(token).unwrap_or_default());
            answer.say(text, run.on_event);
            if stream.is_stopped() {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            run.cancel.check()?;
        }
        answer.say(stream.finish(), run.on_event);
        Ok(answer)
    }

    /// Has the next token drawn, behind those that have been.
    async fn begin(&mut self, request: &Request, prefilled: Prefilled, drawn: &[u32]) -> Result<Drawing> {
        let needs_head = !self.session.ends_in_step();
        let gpu = self.gpu.clone();
        if request.sampling.filters() && !self.filter_is_tested {
            self_test_filter(&gpu).await?;
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
        gpu.replay(&[&drawing.draw], Some((&step, &mut drawing.readbacks[0])));
        Ok(drawing)
    }

    /// Waits for the token that is being drawn. If the answer `goes_on`, the next one is on its way before this one is there.
    async fn draw(&mut self, drawing: &mut Drawing, goes_on: bool) -> Result<u32> {
        let gpu = self.gpu.clone();
        let Resident { model, cache, .. } = self.resident_mut()?;
        if goes_on {
            cache.reserve(1).await?;
            let (_, step) = model.choice()?;
            let pass = model.ready_step(cache, cache.len())?;
            gpu.replay(&[pass, &drawing.draw], Some((&step, &mut drawing.readbacks[1])));
        }
        let result = gpu.fetch(&mut drawing.readbacks[0]).await?;
        let [token, position, drawn, _] = bytemuck::pod_collect_to_vec(&result)[..] else {
            return Err(Error::Internal { detail: format!("a result of {} bytes", result.len()) });
        };
        let token = sample::read([token, position, drawn])?;
        if goes_on {
            drawing.readbacks.swap(0, 1);
            cache.advance(1);
            self.session.extend_by_step(Slot::Token(token));
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
        gpu.replay(&[pass], None);
        cache.advance(1);
        self.session.extend_by_step(Slot::Token(token));
        Ok(())
    }
}
