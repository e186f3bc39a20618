//! State of the server for those who operate it: `/health`, and `/metrics` in Prometheus' text format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ocelli::usage::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::shared::report::resident_bytes;

/// Time without a sign of life of the engine's thread after which it is considered hung: longer than any step of a slow device, and than
/// loading any part of a model.
const HUNG: Duration = Duration::from_secs(120);
/// Value of [`Pulse::beat`] while the engine is idle.
const IDLE: u64 = u64::MAX;
/// Paths that have counts of their own.
const PATHS: [&str; 13] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/responses/input_tokens",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/tokenize",
    "/v1/models",
    "/v1/files",
    "/v1/batches",
    "/mcp",
    "/v1/usage",
    "/metrics",
];

/// State of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Health {
    Ok,
    /// The model is not loaded yet.
    Loading,
    /// A step, or a part of loading the model again, has taken longer than any should.
    Hung,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    path: &'static str,
    status: u64,
}

/// Signs of life of an engine's thread.
pub(crate) struct Pulse {
    started: Instant,
    /// Time without a sign of life after which the thread is considered hung.
    patience: Duration,
    /// Milliseconds from the start to the last sign of life.
    beat: AtomicU64,
}

/// Counts and times of the server.
pub(crate) struct Monitor {
    registry: Registry,
    requests: Family<Route, Counter>,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    completion_tokens: Counter,
    first_frame: Histogram,
    answer: Histogram,
    waiting: Gauge,
    active: Gauge,
    gpu_memory: Gauge,
    resident_memory: Gauge,
}

/// Numbers of open requests.
pub(crate) struct OpenRequests {
    /// Requests that wait for their first step.
    pub(crate) waiting: usize,
    /// Requests that have begun.
    pub(crate) active: usize,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self::with_patience(HUNG)
    }

    /// A pulse with another limit than the usual one.
    pub(crate) fn with_patience(patience: Duration) -> Self {
        Self { started: Instant::now(), patience, beat: AtomicU64::new(IDLE) }
    }

    /// Records a sign of life of the engine's thread.
    pub(crate) fn alive(&self) {
        self.beat.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Records that the engine's thread waits for work.
    pub(crate) fn idle(&self) {
        self.beat.store(IDLE, Ordering::Relaxed);
    }

    /// Returns true if the engine's thread should have shown a sign of life.
    pub(crate) fn is_hung(&self) -> bool {
        self.is_hung_at(self.started.elapsed())
    }

    /// The same at a time since the start.
    fn is_hung_at(&self, now: Duration) -> bool {
        let beat = self.beat.load(Ordering::Relaxed);
        beat != IDLE && now.saturating_sub(Duration::from_millis(beat)) > self.patience
    }
}

impl Monitor {
    pub(crate) fn new() -> Self {
        let times = || Histogram::new(exponential_buckets(0.01, 2.0, 16));
        let mut this = Self {
            registry: Registry::with_prefix("ocelli"),
            requests: Family::default(),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            first_frame: times(),
            answer: times(),
            waiting: Gauge::default(),
            active: Gauge::default(),
            gpu_memory: Gauge::default(),
            resident_memory: Gauge::default(),
        };
        this.register();
        this
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by path and status", self.requests.clone());
        registry.register("prompt_tokens", "Tokens of prompts", self.prompt_tokens.clone());
        registry.register("cached_tokens", "Tokens of prompts that were in the KV cache", self.cached_tokens.clone());
        registry.register("completion_tokens", "Tokens of answers", self.completion_tokens.clone());
        let seconds = || Unit::Seconds;
        let help = "Time from arrival in the queue to the first frame of a stream";
        registry.register_with_unit("first_frame", help, seconds(), self.first_frame.clone());
        registry.register_with_unit(
            "answer",
            "Time from arrival in the queue to the end",
            seconds(),
            self.answer.clone(),
        );
        registry.register("requests_waiting", "Requests that wait for their first step", self.waiting.clone());
        registry.register("requests_active", "Requests that have begun", self.active.clone());
        registry.register_with_unit("gpu_memory", "Memory allocated on the GPU", Unit::Bytes, self.gpu_memory.clone());
        let help = "Memory of the process";
        registry.register_with_unit("resident_memory", help, Unit::Bytes, self.resident_memory.clone());
    }

    /// Counts a response.
    pub(crate) fn responded(&self, path: &str, status: u16) {
        let at =
            |known: &&&str| path.strip_prefix(**known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let path = PATHS.iter().filter(at).max_by_key(|known| known.len()).copied().unwrap_or("other");
        self.requests.get_or_create(&Route { path, status: status.into() }).inc();
    }

    pub(crate) fn first_frame(&self, since: Instant) {
        self.first_frame.observe(since.elapsed().as_secs_f64());
    }

    /// Counts a complete answer.
    pub(crate) fn answered(&self, used: &Counts, since: Instant) {
        self.prompt_tokens.inc_by(used.prompt_tokens);
        self.cached_tokens.inc_by(used.cached_tokens);
        self.completion_tokens.inc_by(used.completion_tokens);
        self.answer.observe(since.elapsed().as_secs_f64());
    }

    /// Everything as text. `gpu_bytes` are allocated on the GPU.
    pub(crate) fn text(&self, open: &OpenRequests, gpu_bytes: u64) -> String {
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.waiting.set(number(open.waiting as u64));
        self.active.set(number(open.active as u64));
        self.gpu_memory.set(number(gpu_bytes));
        self.resident_memory.set(number(resident_bytes().unwrap_or_default()));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_end_is_noticed_and_a_server_without_work_is_well() {
        let pulse = Pulse::new();
        let later = pulse.started.elapsed() + 2 * HUNG;
        pulse.alive();
        assert!(!pulse.is_hung() && pulse.is_hung_at(later));
        pulse.idle();
        assert!(!pulse.is_hung_at(later));
    }
}
