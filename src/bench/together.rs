//! Speed of a batch of answers, measured as requests.

use std::collections::VecDeque;
use std::rc::Rc;

use super::measures::{Bench, Measure, What};
use crate::engine::{AnswerOptions, Answering, Batch, Departure, Encoded, Left, Prompt, Room};
use crate::error::{Error, Result};
use crate::sampling::SamplingOptions;

/// Tokens of each prompt; prompt and answer together fit one page.
const PROMPT: usize = 64;

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
            let said = self.batch(&prompts, max_tokens).await?;
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

    /// Answers to all prompts in one batch. An answer for which memory runs out joins again when another has left.
    async fn batch(&mut self, prompts: &[Rc<Encoded>], max_tokens: usize) -> Result<Vec<Vec<u32>>> {
        let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let options = AnswerOptions { sampling, max_tokens: Some(max_tokens), ..AnswerOptions::default() };
        let answer = |prompt: &Rc<Encoded>| Answering::new(prompt.clone(), options.clone(), None);
        let mut waiting: VecDeque<(usize, Answering)> = prompts.iter().map(answer).enumerate().collect();
        let (mut batch, mut said, mut left) = (Batch::default(), vec![Vec::new(); prompts.len()], prompts.len());
        while left > 0 {
            while let Some((number, answering)) = waiting.pop_front() {
                if self.engine.room(&batch, answering.encoded(), true) != Room::Free {
                    waiting.push_front((number, answering));
                    break;
                }
                self.engine.add(&mut batch, number, answering, self.control.clone(), &mut |_, _| ()).await?;
            }
            // Answers join only while no step is submitted ahead.
            let looks_ahead = waiting.is_empty();
            for Departure { number, answering, outcome } in
                self.engine.step(&mut batch, looks_ahead, &mut |_, _| ()).await
            {
                if outcome? == Left::Displaced {
                    waiting.push_back((number, answering));
                    continue;
                }
                said[number].clone_from(&answering.completion().tokens);
                left -= 1;
            }
        }
        Ok(said)
    }
}
