//! Log probabilities of an answer equal those of a score of the whole text, with any sampling; and answers that were parked for others.

use std::rc::Rc;

use ocelli::engine::{AnswerOptions, Answering, Batch, Departure, ScoredRows};
use ocelli::sampling::{log_softmax_top, logprob};

use super::*;

/// Tolerance of logits computed as a prompt and step by step.
const NEAR: f32 = 1e-4;

#[test]
fn log_probabilities_are_those_of_a_score() {
    with_engine(512, async |engine| {
        let vocab = engine.config().text().vocab_size;
        let hot = SamplingOptions {
            temperature: 1.4,
            top_p: 0.7,
            presence_penalty: 1.0,
            seed: 9,
            logprobs: Some(20),
            logit_bias: [(5, 3.0), (6, -100.0)].into(),
            ..SamplingOptions::default()
        };
        let greedy = SamplingOptions { temperature: 0.0, logprobs: Some(3), ..SamplingOptions::default() };
        for sampling in [hot, greedy] {
            let request = Request { max_tokens: Some(40), sampling, ..about_a_picture(3, "What is it?") };
            let told = answer(engine, &request).await;
            let silent = SamplingOptions { logprobs: None, ..request.sampling.clone() };
            let plain = answer(engine, &Request { sampling: silent, ..request.clone() }).await;
            assert_eq!(told.tokens, plain.tokens, "telling changes nothing");
            assert_eq!((told.logprobs.len(), plain.logprobs.len()), (told.tokens.len(), 0));
            let prompt = engine.encode(&request.prompt, &request.pictures).expect("a prompt");
            let whole = Prompt::Ids([prompt.ids(), &told.tokens].concat());
            let mut rows: Vec<Vec<f32>> = Vec::new();
            let mut keep = |scored: ScoredRows<'_>| {
                rows.extend(scored.logits.chunks(vocab).map(<[f32]>::to_vec));
                Ok(())
            };
            engine.score(&whole, &request.pictures, 32, &RequestControl::new(), &mut keep).await.expect("a score");
            let top = request.sampling.logprobs.expect("they are asked for");
            for (index, of) in told.logprobs.iter().enumerate() {
                let row = &rows[prompt.ids().len() + index - 1];
                assert_eq!(of.token, told.tokens[index]);
                assert!((of.logprob - logprob(row, of.token)).abs() < NEAR, "{index}: {of:?}");
                assert_eq!(of.top.len(), top);
                for (found, wanted) in of.top.iter().zip(log_softmax_top(row, top)) {
                    assert!((found.1 - wanted.1).abs() < NEAR, "{index}: {found:?} {wanted:?}");
                }
            }
        }
    });
}

#[test]
fn a_parked_answer_resumes_with_the_same_words() {
    with_engine(512, async |engine| {
        let request = Request { max_tokens: Some(30), ..about_a_picture(3, "What is it?") };
        let other = about_a_picture(4, "And this?");
        let whole = fresh_answer(engine, &request).await;
        let encoded = Rc::new(engine.encode(&request.prompt, &request.pictures).expect("a prompt"));
        let Request { sampling, max_tokens, .. } = request.clone();
        let options = AnswerOptions { sampling, max_tokens, ..AnswerOptions::default() };
        let mut answering = Answering::new(encoded, options, None);
        let (mut batch, mut parked, mut is_complete) = (Batch::default(), 0, false);
        let mut silent = |_, _| ();
        while !is_complete {
            let added = engine.add(&mut batch, 0, answering, RequestControl::new(), &mut silent).await;
            added.expect("it is added");
            let mut ended = Vec::new();
            for step in 0..6 {
                // Every other time its next step is under way when it is parked.
                ended = engine.step(&mut batch, step < 5 || parked % 2 == 0, &mut silent).await;
                if !ended.is_empty() {
                    break;
                }
            }
            is_complete = !ended.is_empty();
            answering = match ended.pop() {
                Some(Departure { answering, outcome, .. }) => outcome.map(|_| answering).expect("an answer"),
                None => engine.remove(&mut batch, 0).expect("it is in the batch"),
            };
            parked += 1;
            answer(engine, &other).await;
        }
        assert_eq!((&answering.completion().tokens, &answering.completion().text), (&whole.tokens, &whole.text));
        assert!(parked > 3, "it was parked {parked} times");
    });
}
