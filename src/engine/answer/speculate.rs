//! Prompt lookup: what followed the last few tokens when they stood in the conversation before is proposed, and several proposals are
//! verified in one pass (<https://github.com/apoorvumang/prompt-lookup-decoding>). Whether that pays is measured, not assumed.

use crate::engine::prompt::ContextEntry;
use crate::error::Error;
use crate::gpu::DeviceClass;
use crate::model::DRAFT_ROWS;

/// Most tokens that are looked for.
const LONGEST: usize = 4;
/// Fewest: one alone says too little.
const SHORTEST: usize = 2;
/// How much faster than steps a pass must be expected to be: leaving the pipeline of steps costs a wait.
const MARGIN: f64 = 1.15;
/// Weight of an earlier pass when the next one is judged.
const MEMORY: f64 = 0.9;
/// Tokens for which nothing is proposed after a pass that verified nothing; twice as many after every further one.
const PAUSE: usize = 4;
/// No longer than that.
const LONGEST_PAUSE: usize = 64;

/// Whether tokens that stand earlier in the conversation are proposed and verified several at a time. Answers are the same either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_speculation)]
pub enum Speculation {
    /// Used where it is expected to be faster, from measurements of this device and answer.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Wherever there is something to propose: for tests and measurements.
    Always,
}

impl Speculation {
    /// Returns whether passes over several rows are used wherever possible.
    pub(in crate::engine) fn always(self) -> bool {
        self == Self::Always
    }
}

fn no_speculation(name: &str) -> Error {
    Error::request("speculation", format!("{name:?} is none of auto and off"))
}

/// How long steps and passes take on a device.
#[derive(Debug, Clone)]
pub(in crate::engine) struct LatencyModel {
    /// Milliseconds from token to token, the next step being submitted before a token is read.
    step: Option<f64>,
    /// Of a pass over each of [`DRAFT_ROWS`], from the token that is known to what comes back, in steps; and passes seen.
    passes: [(f64, u32); DRAFT_ROWS.len()],
}

impl LatencyModel {
    /// Creates the expectation for a device before anything has been measured.
    pub(in crate::engine) fn new(class: DeviceClass) -> Self {
        let passes = match class {
            // Weights are read once for all rows; what is waited for is a round trip.
            DeviceClass::Hardware => [1.4, 1.7],
            // Arithmetic is all there is, and every row has its own.
            DeviceClass::Software | DeviceClass::SlowCompiler => [2.5, 5.5],
        };
        Self { step: None, passes: passes.map(|steps| (steps, 0)) }
    }

    /// A token came so long after the one before.
    pub(in crate::engine) fn stepped(&mut self, ms: f64) {
        if ms > 0.0 {
            self.step = Some(self.step.map_or(ms, |before| before + (ms - before) * (1.0 - MEMORY)));
        }
    }

    /// A pass over so many rows took so long.
    pub(in crate::engine) fn passed(&mut self, rows: usize, ms: f64) {
        let (Some(step), Some(index)) = (self.step, index(rows)) else { return };
        let (steps, seen) = &mut self.passes[index];
        *seen += 1;
        // The first one is made ready besides. What is measured first replaces what was supposed.
        match *seen {
            1 => {}
            2 => *steps = ms / step,
            _ => *steps += (ms / step - *steps) * 0.25,
        }
    }

    /// Cost of a step of so many conversations, in steps of one.
    pub(in crate::engine) fn together(&self, count: usize) -> f64 {
        DRAFT_ROWS.into_iter().find(|&rows| rows >= count).map_or(f64::INFINITY, |rows| self.steps(rows))
    }

    /// Cost of a pass over so many rows, in steps.
    pub(in crate::engine) fn steps(&self, rows: usize) -> f64 {
        index(rows).map_or(f64::INFINITY, |index| self.passes[index].0.max(0.1))
    }
}

fn index(rows: usize) -> Option<usize> {
    DRAFT_ROWS.iter().position(|&known| known == rows)
}

/// Tokens that may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Draft {
    pub(in crate::engine) tokens: Vec<u32>,
    /// Tokens before them that stood there earlier.
    matched: usize,
}

/// How often proposals were right.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    right: f64,
    tried: f64,
}

/// Speculation in one answer: drafts, and how many were right.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Speculator {
    mode: Speculation,
    /// By tokens that were found, from [`SHORTEST`] on.
    rates: [Rate; LONGEST - SHORTEST + 1],
    pause: usize,
    misses: u32,
    /// Tokens proposed.
    pub(in crate::engine) drafted: usize,
}

impl Speculator {
    pub(in crate::engine) fn new(mode: Speculation) -> Self {
        Self { mode, rates: Default::default(), pause: 0, misses: 0, drafted: 0 }
    }

    /// Returns whether a draft could pay.
    pub(in crate::engine) fn looks(&self, latency: &LatencyModel) -> bool {
        match self.mode {
            Speculation::Off => false,
            Speculation::Always => true,
            Speculation::Auto => self.pause == 0 && latency.step.is_some(),
        }
    }

    /// Proposes what comes next, so that a pass has at most `rows` rows, if that is worth a pass.
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

    /// Learns how many tokens of a draft were right.
    pub(in crate::engine) fn verified(&mut self, draft: &Draft, right: usize) {
        self.drafted += draft.tokens.len();
        let rate = &mut self.rates[draft.matched - SHORTEST];
        // Drafts after a wrong one say nothing.
        let tried = (right + 1).min(draft.tokens.len());
        *rate = Rate { right: rate.right * MEMORY + right as f64, tried: rate.tried * MEMORY + tried as f64 };
        if right > 0 {
            self.misses = 0;
        } else {
            self.pause = (PAUSE << self.misses.min(16)).min(LONGEST_PAUSE);
            self.misses += 1;
        }
    }

    /// A token came from a step.
    pub(in crate::engine) fn stepped(&mut self) {
        self.pause = self.pause.saturating_sub(1);
    }

    /// Proposes nothing any more.
    pub(in crate::engine) fn stop(&mut self) {
        self.mode = Speculation::Off;
    }

    /// How likely a token of a draft is right if those before it are.
    fn rate(&self, matched: usize) -> f64 {
        /// Tokens that the first guess counts for.
        const WEIGHT: f64 = 2.0;
        let guess = [0.4, 0.55, 0.7][matched - SHORTEST];
        let Rate { right, tried } = self.rates[matched - SHORTEST];
        (right + guess * WEIGHT) / (tried + WEIGHT)
    }
}

/// Tokens that a pass is expected to bring.
fn expected(rate: f64, rows: usize) -> f64 {
    (0..rows as i32).map(|row| rate.powi(row)).sum()
}

/// Marks a position of a picture: no token.
const PICTURE: u32 = u32::MAX;

/// The tokens of a conversation, and the one behind them, if it is known.
pub(in crate::engine) fn history(entries: &[ContextEntry], known: Option<u32>) -> Vec<u32> {
    let token = |entry: &ContextEntry| if let ContextEntry::Token(token) = entry { *token } else { PICTURE };
    entries.iter().map(token).chain(known).collect()
}

/// Where the last tokens, as many as possible, ended before, as late as possible; and how many they are.
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

/// What stands from `at` on, over and over again if it is short; nothing behind a picture.
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
            // The first is not counted: it is made ready besides.
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
