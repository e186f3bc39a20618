//! Speed of a batch of answers, measured as requests.

use std::rc::Rc;

use super::measures::{Bench, Measure, What};
use crate::engine::{Answering, Answers, Device, Encoded, Engine, Event, Prompt, RequestControl};
use crate::error::{Error, Result};
use crate::sampling::SamplingOptions;

/// Tokens of each prompt; prompt and answer together fit one page.
const PROMPT: usize = 64;

/// Answers that are all queued at the start.
struct Desk<'a> {
    prompts: &'a [Rc<Encoded>],
    max_tokens: usize,
    control: &'a RequestControl,
    begun: usize,
    /// Tokens of each answer, by prompt.
    said: Vec<Vec<u32>>,
    failed: Option<Error>,
}

impl Answers<Device> for Desk<'_> {
    fn next(&mut self, _: &mut Engine, _: usize) -> Option<(usize, Answering, RequestControl)> {
        let encoded = self.prompts.get(self.begun)?.clone();
        self.begun += 1;
        let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let answering = Answering::new(encoded, sampling, Some(self.max_tokens), Vec::new());
        Some((self.begun - 1, answering, self.control.clone()))
    }

    fn hear(&mut self, _: usize, _: Event) {}

    fn done(&mut self, number: usize, answering: Answering, outcome: Result<bool>) {
        self.said[number].clone_from(&answering.completion().tokens);
        self.failed = self.failed.take().or(outcome.err());
    }
}

impl Bench<'_> {
    /// Times `count` answers at once to cached prompts. Each must equal the answer computed alone.
    pub(super) async fn together(&mut self, count: usize) -> Result<()> {
        let (mut prompts, mut alone, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let ids = self.fresh(PROMPT);
            alone.push(self.answer(&ids, self.options.tokens).await?.tokens);
            prompts.push(Rc::new(self.engine.encode(&Prompt::Ids(ids), &[])?));
        }
        // The first round includes preparation that several rounds use.
        for round in 0..=self.rounds().count() {
            let (clock, max_tokens) = (self.engine.clock(), self.options.tokens);
            let began = clock();
            let said = vec![Vec::new(); count];
            let mut desk = Desk { prompts: &prompts, max_tokens, control: self.control, begun: 0, said, failed: None };
            self.engine.answer_together(&mut desk).await;
            let Desk { said, failed, .. } = desk;
            failed.map_or(Ok(()), Err)?;
            if said != alone {
                return Err(Error::Internal { detail: "answers at once are not what they are alone".into() });
            }
            if round > 0 {
                times.push(clock() - began);
            }
        }
        let tokens = alone.iter().map(Vec::len).sum();
        self.push(Measure::new(What::Together, count, tokens, times));
        Ok(())
    }
}
