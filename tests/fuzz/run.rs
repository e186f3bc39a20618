//! Runs a parser on its inputs and measures time and memory.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ocelli::Result;

use super::memory::{Taken, measured};
use super::mutate::input;
use super::structure::Seed;

/// Variable with the number of inputs for each parser.
const CASES: &str = "OCELLI_FUZZ_CASES";
/// Variable with the one input to run, as `parser:number`.
const ONE: &str = "OCELLI_FUZZ_CASE";
/// Inputs without [`CASES`], and those of `./build.sh test-all`.
const DEFAULT_CASES: (u64, u64) = (2_000, 20_000);
/// Longest time for one input; the slowest takes a hundredth of it on an idle machine.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Failures that are listed before the run ends.
const LISTED: usize = 10;

/// A parser and its limits.
pub(crate) struct Parser {
    pub(crate) name: &'static str,
    pub(crate) target: fn(&[u8]) -> Result<()>,
    pub(crate) seeds: Vec<Seed>,
    /// Bytes of memory for each byte of input ...
    pub(crate) factor: u64,
    /// ... and in addition.
    pub(crate) constant: u64,
}

/// Statistics of a run.
#[derive(Default)]
struct Seen {
    codes: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
    /// Largest share of the allowed memory.
    fullest: (f64, String),
    slowest: (Duration, u64),
    peak: u64,
    largest: u64,
}

/// Runs the parser on its inputs.
///
/// # Panics
/// If it panics or takes too much memory on one of them, or if all end alike.
pub(crate) fn survives(parser: &Parser) {
    let Parser { name, seeds, .. } = parser;
    let started = Instant::now();
    let mut seen = Seen::default();
    let cases = match std::env::var(ONE).ok() {
        None => 0..cases(),
        Some(one) => match one.split_once(':').filter(|(parser, _)| parser == name) {
            Some((_, number)) => {
                let number = number.parse().expect("parser:number");
                println!("{:?}", String::from_utf8_lossy(&input(name, seeds, number)));
                number..number + 1
            }
            None => return,
        },
    };
    let count = cases.end - cases.start;
    // Warm-up: memory that is allocated once, on first use, is not counted.
    seeds.iter().for_each(|seed| drop((parser.target)(&seed.bytes)));
    watched(name, |current| {
        for case in cases {
            current.store(case, Ordering::Relaxed);
            seen.run(parser, case);
            if seen.failures.len() == LISTED {
                break;
            }
        }
    });
    let Seen { codes, failures, fullest, slowest, peak, largest } = seen;
    println!(
        "{name}: {count} inputs in {:.1?}, {codes:?}; slowest {:.1?} ({name}:{}); most memory {peak} bytes, {largest} in one \
         piece; fullest {:.0} % of the bound, {}",
        started.elapsed(),
        slowest.0,
        slowest.1,
        fullest.0 * 100.0,
        fullest.1
    );
    assert!(failures.is_empty(), "{ONE}=parser:number runs one of these again\n{}", failures.join("\n"));
    let accepted = codes.get("ok").copied().unwrap_or(0);
    assert!(
        count == 1 || accepted > count / 100,
        "{name}: {accepted} of {count} accepted: the mutations are too coarse"
    );
}

fn cases() -> u64 {
    let (few, many) = DEFAULT_CASES;
    let default = if std::env::var("OCELLI_TESTS").is_ok_and(|tests| tests == "all") { many } else { few };
    std::env::var(CASES).map_or(default, |cases| cases.parse().expect("a number of inputs"))
}

impl Seen {
    fn run(&mut self, parser: &Parser, case: u64) {
        let Parser { name, target, seeds, factor, constant } = parser;
        let bytes = input(name, seeds, case);
        let before = Instant::now();
        let (result, Taken { peak, largest, .. }) =
            measured((name, case), || catch_unwind(AssertUnwindSafe(|| target(&bytes).map_err(|e| e.code()))));
        let elapsed = before.elapsed();
        let code = match result {
            Ok(Ok(())) => "ok",
            Ok(Err(code)) => code,
            Err(_) => "panic",
        };
        *self.codes.entry(code).or_default() += 1;
        if elapsed > self.slowest.0 {
            self.slowest = (elapsed, case);
        }
        let allowed = factor * bytes.len() as u64 + constant;
        let share = peak as f64 / allowed as f64;
        if share > self.fullest.0 {
            self.fullest = (share, format!("{peak} for {} ({name}:{case})", bytes.len()));
        }
        (self.peak, self.largest) = (self.peak.max(peak), self.largest.max(largest));
        if matches!(code, "panic" | "internal") {
            self.failures.push(format!("{name}:{case} ends with {code}"));
        }
        if peak > allowed {
            self.failures.push(format!("{name}:{case} takes {peak} bytes for {}, {allowed} are allowed", bytes.len()));
        }
        if case < seeds.len() as u64 && code != "ok" {
            self.failures.push(format!("{name}:{case}, a good file, is refused: {:?}", target(&bytes)));
        }
    }
}

/// Runs `work`, which stores the number of the current input; ends the process if that number does not change for too long.
fn watched(name: &'static str, work: impl FnOnce(&AtomicU64)) {
    let current = AtomicU64::new(0);
    let (done, waiting) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let waiting = waiting;
            let (mut last, mut since) = (u64::MAX, Instant::now());
            while waiting.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                let case = current.load(Ordering::Relaxed);
                if case != last {
                    (last, since) = (case, Instant::now());
                } else if since.elapsed() > TIME_LIMIT {
                    eprintln!("{name}:{case} has not ended after {TIME_LIMIT:?}");
                    std::process::abort();
                }
            }
        });
        work(&current);
        drop(done);
    });
}
