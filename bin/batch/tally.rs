//! Counts of a batch, for people.

use super::answers::Answered;

/// Outcomes and tokens of the requests that a command answers.
#[derive(Default)]
pub(super) struct Tally {
    answered: usize,
    refused: usize,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Tally {
    pub(super) fn count(&mut self, answered: &Answered) {
        let is_right = answered.is_right();
        self.answered += usize::from(is_right);
        self.refused += usize::from(!is_right);
        let used = answered.used();
        self.prompt_tokens += used.prompt_tokens;
        self.completion_tokens += used.completion_tokens;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answered, refused, prompt_tokens, completion_tokens } = self;
        write!(
            f,
            "{answered} now, {refused} refused; {prompt_tokens} tokens of prompts, {completion_tokens} of answers"
        )
    }
}
