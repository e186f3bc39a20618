//! Prompt lookup decoding: proposes the tokens that followed an earlier occurrence of the last few tokens, and verifies several in one pass
//! (<https://github.com/apoorvumang/prompt-lookup-decoding>). Measurements decide whether that pays.

use crate::engine::prompt::ContextEntry;
use crate::error::Error;
use crate::gpu::DeviceClass;
use crate::model::DRAFT_ROWS;

/// Longest match in tokens.
const LONGEST: usize = 4;
/// Shortest match: a single token predicts too little.
const SHORTEST: usize = 2;
/// Least expected speedup of a verification pass over steps, because leaving the pipeline of steps costs a wait.
const MARGIN: f64 = 1.15;
/// Weight of an earlier measurement relative to the next one.
const MEMORY: f64 = 0.9;
/// Tokens without a draft after a pass that accepted none; twice as many after each further one.
const PAUSE: usize = 4;
/// Longest pause in tokens.
const LONGEST_PAUSE: usize = 64;

/// Mode of speculative decoding, which drafts tokens that occur earlier in the conversation. Answers are the same in all modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_speculation)]
pub enum Speculation {
    /// Used if it is expected to be faster, by measurements of this device and answer.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Used for every draft, for tests and measurements.
    Always,
}

impl Speculation {
    pub(in crate::engine) fn always(self) -> bool {
        self == Self::Always
    }
}

fn no_speculation(name: &str) -> Error {
    Error::request("speculation", format!("invalid value {name:?}; expected auto or off"))
}

/// Measured durations of steps and passes on a device.
#[derive(Debug, Clone)]
pub(in crate::engine) struct LatencyModel {
    /// Milliseconds from token to token, if the next step is submitted before a token is read.
    step: Option<f64>,
    /// For each of [`DRAFT_ROWS`] the duration of a pass, from the known token to the result, in steps; and the passes measured.
    passes: [(f64, u32); DRAFT_ROWS.len()],
}

impl LatencyModel {
    /// Creates estimates for a device without measurements.
    pub(in crate::engine) fn new(class: DeviceClass) -> Self {
        let passes = match class {
            // Weights are read once for all rows; the rest is the wait for a round trip.
            DeviceClass::Hardware => [1.4, 1.7],
            // Arithmetic dominates, and is done for every row.
            DeviceClass::Software | DeviceClass::SlowCompiler => [2.5, 5.5],
            // Weights are unpacked once for all rows.
            DeviceClass::Processor => [1.7, 2.8],
        };
        Self { step: None, passes: passes.map(|steps| (steps, 0)) }
    }

    /// Records the time between two tokens.
    pub(in crate::engine) fn stepped(&mut self, ms: f64) {
        if ms > 0.0 {
            self.step = Some(self.step.map_or(ms, |before| before + (ms - before) * (1.0 - MEMORY)));
        }
    }

    /// Records the duration of a pass over `rows` rows.
    pub(in crate::engine) fn passed(&mut self, rows: usize, ms: f64) {
        let (Some(step), Some(index)) = (self.step, index(rows)) else { return };
        let (steps, seen) = &mut self.passes[index];
        *seen += 1;
        // The first pass includes its preparation and is ignored. The second replaces the estimate.
        match *seen {
            1 => {}
            2 => *steps = ms / step,
            _ => *steps += (ms / step - *steps) * 0.25,
        }
    }

    /// Cost of a step of `count` conversations, in steps of one.
    pub(in crate::engine) fn together(&self, count: usize) -> f64 {
        DRAFT_ROWS.into_iter().find(|&rows| rows >= count).map_or(f64::INFINITY, |rows| self.steps(rows))
    }

    /// Cost of a pass over `rows` rows, in steps.
    pub(in crate::engine) fn steps(&self, rows: usize) -> f64 {
        index(rows).map_or(f64::INFINITY, |index| self.passes[index].0.max(0.1))
    }
}

fn index(rows: usize) -> Option<usize> {
    DRAFT_ROWS.iter().position(|&known| known == rows)
}

/// Proposed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Draft {
    pub(in crate::engine) tokens: Vec<u32>,
    /// Length of the match before them.
    matched: usize,
}

/// Accepted and judged tokens of drafts; older ones count less.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    right: f64,
    tried: f64,
}

/// Speculative decoding of one answer.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Speculator {
    mode: Speculation,
    /// Acceptance by length of the match, from [`SHORTEST`] on.
    rates: [Rate; LONGEST - SHORTEST + 1],
    pause: usize,
    misses: u32,
    /// Tokens proposed so far.
    pub(in crate::engine) drafted: usize,
}

impl Speculator {
    pub(in crate::engine) fn new(mode: Speculation) -> Self {
        Self { mode, rates: Default::default(), pause: 0, misses: 0, drafted: 0 }
    }

    /// Returns true if a draft could pay.
    pub(in crate::engine) fn looks(&self, latency: &LatencyModel) -> bool {
        match self.mode {
            Speculation::Off => false,
            Speculation::Always => true,
            Speculation::Auto => self.pause == 0 && latency.step.is_some(),
        }
    }

    /// Proposes tokens for a pass of at most `rows` rows, if the pass is expected to pay.
    pub(in crate::engine) fn propose(&self, latency: &LatencyModel, history: &[u32], rows: usize) -> Option<Draft> {
        let (at, matched) = lookup(history)?;
        let worth = |rows: usize| expected(self.rate(matched), rows) / latency.steps(rows);
        let rows =
            DRAFT_ROWS.into_iter().filter(|&known| known <= rows).max_by(|&a, &b| worth(a).total_cmp(&worth(b)))?;
        if self.mode == Speculation::Auto && worth(rows) < MARGIN {
            return None;
        }
        let tokens = continuation(history, at, rows - 1);
        (tokens.len() == rows - 1).then_some(Draft { tokens, matched })
    }

    /// Records how many tokens of a draft were accepted.
    pub(in crate::engine) fn verified(&mut self, draft: &Draft, right: usize) {
        self.drafted += draft.tokens.len();
        let rate = &mut self.rates[draft.matched - SHORTEST];
        // Tokens after a rejected one were not judged.
        let tried = (right + 1).min(draft.tokens.len());
        *rate = Rate { right: rate.right * MEMORY + right as f64, tried: rate.tried * MEMORY + tried as f64 };
        if right > 0 {
            self.misses = 0;
        } else {
            self.pause = (PAUSE << self.misses.min(16)).min(LONGEST_PAUSE);
            self.misses += 1;
        }
    }

    /// Counts a token that came from a step.
    pub(in crate::engine) fn stepped(&mut self) {
        self.pause = self.pause.saturating_sub(1);
    }

    /// Ends speculation in this answer.
    pub(in crate::engine) fn stop(&mut self) {
        self.mode = Speculation::Off;
    }

    /// Probability that a token of a draft is accepted if those before it are.
    fn rate(&self, matched: usize) -> f64 {
        /// Tokens for which the initial guess counts.
        const WEIGHT: f64 = 2.0;
        let guess = [0.4, 0.55, 0.7][matched - SHORTEST];
        let Rate { right, tried } = self.rates[matched - SHORTEST];
        (right + guess * WEIGHT) / (tried + WEIGHT)
    }
}

/// Expected tokens of a pass.
fn expected(rate: f64, rows: usize) -> f64 {
    (0..rows as i32).map(|row| rate.powi(row)).sum()
}

/// Marks a row of a picture, which has no token.
const PICTURE: u32 = u32::MAX;

/// Tokens of a conversation, and the next one if it is known.
pub(in crate::engine) fn history(entries: &[ContextEntry], known: Option<u32>) -> Vec<u32> {
    let token = |entry: &ContextEntry| entry.token().unwrap_or(PICTURE);
    entries.iter().map(token).chain(known).collect()
}

/// Finds the longest earlier match of the last tokens, the latest of several. Returns the index after it and its length.
fn lookup(history: &[u32]) -> Option<(usize, usize)> {
    let len = history.len();
    let mut best: Option<(usize, usize)> = None;
    for at in (SHORTEST..len).rev() {
        let same = |back: &usize| history[at - back] == history[len - back] && history[at - back] != PICTURE;
        let matched = (1..=LONGEST.min(at)).take_while(same).count();
        if matched >= SHORTEST && best.is_none_or(|(_, longest)| matched > longest) {
            best = Some((at, matched));
            if matched == LONGEST {
                break;
            }
        }
    }
    best
}

/// Returns `count` tokens from `at` on, repeated if necessary; fewer if a picture comes first.
fn continuation(history: &[u32], at: usize, count: usize) -> Vec<u32> {
    history[at..].iter().copied().cycle().take(count).take_while(|&token| token != PICTURE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4];

    fn paced() -> LatencyModel {
        let mut latency = LatencyModel::new(DeviceClass::Hardware);
        latency.stepped(10.0);
        latency
    }

    #[test]
    fn the_longest_match_wins_and_of_equals_the_last() {
        assert_eq!(lookup(&[]), None);
        assert_eq!(lookup(&[1, 2, 3]), None);
        assert_eq!(lookup(&[5, 1, 5]), None, "one token is too few");
        assert_eq!(lookup(&[1, 2, 9, 1, 2, 8, 1, 2]), Some((5, 2)));
        assert_eq!(lookup(&[3, 1, 2, 9, 4, 1, 2, 8, 3, 1, 2]), Some((3, 3)), "three before two");
        assert_eq!(lookup(&[0, 1, 2, 3, 4, 9, 0, 1, 2, 3, 4]), Some((5, 4)), "no more than four are looked at");
        assert_eq!(lookup(&[PICTURE, PICTURE, 7, PICTURE, PICTURE]), None);
        assert_eq!(lookup(&[7, 7, 7]), Some((2, 2)), "a match may overlap");
    }

    #[test]
    fn what_is_proposed_goes_round_and_ends_at_pictures() {
        assert_eq!(continuation(&[1, 2, 3, 1, 2], 2, 7), [3, 1, 2, 3, 1, 2, 3]);
        assert_eq!(continuation(&[1, 2, PICTURE, 3, 1, 2], 2, 3), [0; 0]);
        let speculator = Speculator::new(Speculation::Always);
        let draft = speculator.propose(&paced(), &[1, 2, 3, PICTURE, 1, 2], 8);
        assert_eq!(draft, None, "a draft that ends early is none");
        assert_eq!(history(&[ContextEntry::Token(4)], Some(5)), [4, 5]);
    }

    #[test]
    fn nothing_is_proposed_before_a_step_was_measured_or_when_it_is_off() {
        let unmeasured = LatencyModel::new(DeviceClass::Hardware);
        assert!(!Speculator::new(Speculation::Auto).looks(&unmeasured));
        assert!(Speculator::new(Speculation::Auto).looks(&paced()));
        assert!(Speculator::new(Speculation::Always).looks(&unmeasured));
        assert!(!Speculator::new(Speculation::Off).looks(&paced()));
        let draft = Speculator::new(Speculation::Auto).propose(&paced(), &WORDS, 8).expect("a draft");
        assert_eq!(draft.tokens[..3], [5, 6, 7]);
        assert_eq!(Speculator::new(Speculation::Auto).propose(&paced(), &WORDS, 3), None, "no room for a pass");
    }

    #[test]
    fn a_pass_must_be_worth_its_time() {
        let (speculator, mut latency) = (Speculator::new(Speculation::Auto), paced());
        assert!(speculator.propose(&latency, &WORDS, 8).is_some());
        for rows in DRAFT_ROWS {
            // The first pass is ignored, since it includes its preparation.
            [1e6, 90.0, 90.0].into_iter().for_each(|ms| latency.passed(rows, ms));
        }
        assert_eq!(speculator.propose(&latency, &WORDS, 8), None, "nine steps for at most eight tokens");
        latency.passed(8, 1.0);
        assert!(latency.steps(8) < latency.steps(4), "what is seen later counts");
    }

    #[test]
    fn misses_make_it_pause_and_hits_make_it_bold() {
        let (mut speculator, latency) = (Speculator::new(Speculation::Auto), paced());
        let draft = speculator.propose(&latency, &WORDS, 8).expect("a draft");
        speculator.verified(&draft, 0);
        let pause = |speculator: &mut Speculator| {
            (0..)
                .take_while(|_| {
                    let pauses = !speculator.looks(&latency);
                    speculator.stepped();
                    pauses
                })
                .count()
        };
        assert_eq!(pause(&mut speculator), 4);
        speculator.verified(&draft, 0);
        assert_eq!(pause(&mut speculator), 8, "twice as long");
        let wary = speculator.rate(draft.matched);
        for _ in 0..20 {
            speculator.verified(&draft, draft.tokens.len());
        }
        assert!(speculator.looks(&latency) && speculator.rate(draft.matched) > 0.95 && wary < 0.4);
        assert_eq!(speculator.propose(&latency, &WORDS, 8).map(|draft| draft.tokens.len()), Some(7));
        assert_eq!(speculator.drafted, 22 * draft.tokens.len());
    }
}
