//! Budgets and the bill of each request: opened on arrival, admitted when its prompt is known, and counted when it ends for any reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::Result;
use ocelli::api::{Asker, Limit};
use ocelli::engine::Meter;

use super::ledger::{Counts, Ledger};
use super::rules::{Budget, Scope, Spent, admit, day};
use super::{Used, report};

/// Tokens of the shortest prompt, for requests whose prompt is not known yet.
const SHORTEST_PROMPT: u64 = 1;

/// Budgets and their usage, shared by clones.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Shared>);

struct Shared {
    request: Limit,
    key: Limit,
    batch: Limit,
    /// Seconds since 1970.
    clock: fn() -> u64,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    /// Usage of each key today.
    keys: BTreeMap<(String, String), Arc<Meter>>,
}

impl State {
    /// Usage of a key on a day.
    fn meter(&mut self, limit: Limit, day: &str, key: &str) -> Arc<Meter> {
        self.keys.retain(|(known, _), meter| known == day || Arc::strong_count(meter) > 1);
        let counts = || self.ledger.kept.sums.get(&(day.to_owned(), key.to_owned())).copied().unwrap_or_default();
        let place = (day.to_owned(), key.to_owned());
        self.keys.entry(place).or_insert_with(|| metered(limit, counts().spent())).clone()
    }
}

impl Counts {
    fn spent(&self) -> Spent {
        Spent { tokens: self.prompt_tokens + self.completion_tokens, seconds: self.seconds }
    }
}

/// A meter with initial counts.
fn metered(limit: Limit, spent: Spent) -> Arc<Meter> {
    let meter = Meter::default();
    meter.allow(
        limit.tokens.map_or(f64::INFINITY, |tokens| tokens as f64),
        limit.seconds.map_or(f64::INFINITY, |seconds| seconds * 1e3),
    );
    meter.spend(usize::try_from(spent.tokens).unwrap_or(usize::MAX), spent.seconds * 1e3);
    Arc::new(meter)
}

fn spent_of(meter: &Meter) -> Spent {
    let (tokens, ms) = meter.spent();
    Spent { tokens, seconds: ms / 1e3 }
}

/// The budget of a batch, shared by clones.
#[derive(Clone)]
pub(crate) struct BatchBudget {
    limit: Limit,
    meter: Arc<Meter>,
}

impl Accounts {
    /// Accounts with budgets of a request, of a key on a day, and of a batch.
    ///
    /// # Errors
    /// `io`, also if another process has locked the folder.
    pub(super) fn open(
        (request, key, batch): (Limit, Limit, Limit),
        folder: Option<&Path>,
        clock: fn() -> u64,
    ) -> Result<Self> {
        let state = Mutex::new(State { ledger: Ledger::open(folder)?, keys: BTreeMap::new() });
        Ok(Self(Arc::new(Shared { request, key, batch, clock, state })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget of a batch with the usage of its answers so far.
    pub(crate) fn batch(&self, spent: Spent) -> BatchBudget {
        BatchBudget { limit: self.0.batch, meter: metered(self.0.batch, spent) }
    }

    /// Opens the bill of a request. `caller` is the key of a request that names none.
    ///
    /// # Errors
    /// `budget-exceeded` if nothing is left for any prompt.
    pub(crate) fn bill(&self, asker: &Asker, caller: &str, batch: Option<&BatchBudget>) -> Result<Bill> {
        let key = if asker.key.is_empty() { caller.to_owned() } else { asker.key.clone() };
        let request = self.0.request.and(asker.limit);
        let bill = Bill {
            accounts: self.clone(),
            request,
            meter: metered(request, Spent::default()),
            batch: batch.cloned(),
            key,
            admitted: None,
            outcome: None,
        };
        bill.ask(SHORTEST_PROMPT)?;
        Ok(bill)
    }

    /// Usage as JSON.
    pub(crate) fn json(&self) -> String {
        report::json(&self.state().ledger.kept).to_string()
    }

    /// Usage as CSV.
    pub(crate) fn csv(&self) -> String {
        report::csv(&self.state().ledger.kept)
    }
}

/// Usage of a request. It is counted when this value is dropped, if the request was admitted.
pub(crate) struct Bill {
    accounts: Accounts,
    request: Limit,
    meter: Arc<Meter>,
    batch: Option<BatchBudget>,
    key: String,
    /// Tokens of its prompt, and the time of admission, once admitted.
    admitted: Option<(u64, u64)>,
    /// Usage in the whole answer.
    outcome: Option<Used>,
}

impl Bill {
    /// Admits the request. Returns the meters of its answers; empty if it was admitted before.
    ///
    /// # Errors
    /// `budget-exceeded`.
    pub(crate) fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        let (key, now) = self.ask(prompt_tokens as u64)?;
        self.admitted = Some((prompt_tokens as u64, now));
        let batch = self.batch.iter().map(|batch| batch.meter.clone());
        let meters: Vec<Arc<Meter>> = [self.meter.clone(), key].into_iter().chain(batch).collect();
        meters.iter().for_each(|meter| meter.spend(prompt_tokens, 0.0));
        Ok(meters)
    }

    /// Records the usage of the whole answer.
    pub(crate) fn close(mut self, body: &str) {
        self.outcome = serde_json::from_str(body).ok().map(|body| Used::of(&body));
    }

    /// Checks that a prompt of so many tokens is allowed. Returns the key's meter of today, and the time.
    fn ask(&self, prompt_tokens: u64) -> Result<(Arc<Meter>, u64)> {
        let Shared { key: limit, clock, .. } = &*self.accounts.0;
        let (mut state, now) = (self.accounts.state(), clock());
        let key = state.meter(*limit, &day(now), &self.key);
        let budget = |scope, limit, meter: &Meter| Budget { scope, limit, spent: spent_of(meter) };
        let mut budgets = vec![budget(Scope::Request, self.request, &self.meter), budget(Scope::Key, *limit, &key)];
        budgets.extend(self.batch.iter().map(|batch| budget(Scope::Batch, batch.limit, &batch.meter)));
        admit(&budgets, prompt_tokens, now).inspect_err(|_| state.ledger.refuse(now, &self.key))?;
        Ok((key, now))
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        let Some((prompt_tokens, began)) = self.admitted else { return };
        let Spent { tokens, seconds } = spent_of(&self.meter);
        // The cached tokens of an aborted answer are unknown.
        let cached_tokens = self.outcome.map_or(0, |used| used.cached_tokens);
        let completion_tokens = tokens.saturating_sub(prompt_tokens);
        let counts = Counts { requests: 1, prompt_tokens, cached_tokens, completion_tokens, seconds, refusals: 0 };
        // A request counts for the day on which it began.
        self.accounts.state().ledger.add(began, &self.key, counts);
    }
}
