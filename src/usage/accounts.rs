//! Budgets and the bill of each request: opened on arrival, admitted when its prompt is known, and counted when it ends for any reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::rules::{Budget, DAY, Scope, Spent, admit, day};
use super::sums::{Counts, Sums};
use crate::api::{Asker, Limit};
use crate::engine::Meter;
use crate::error::Result;

/// Tokens of the shortest prompt, for requests whose prompt is not known yet.
const SHORTEST_PROMPT: usize = 1;

/// Days whose usage is kept in memory.
const DAYS: u64 = 40;

/// Budgets of a server or a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Limit of each request.
    pub request: Limit,
    /// Limit of all requests of a key in a day (UTC).
    pub key: Limit,
    /// Limit of each batch.
    pub batch: Limit,
}

/// Storage of usage.
pub trait Ledger {
    /// Adds counts of a key on a day.
    fn add(&mut self, day: &str, key: &str, counts: Counts);

    /// Calls `then` when everything that was added is stored.
    fn when_stored(&mut self, then: Then);
}

/// Work that waits for counts to be stored.
pub type Then = Box<dyn FnOnce() + Send>;

/// Counts that are stored later, see [`Accounts::merge`].
impl Ledger for Sums {
    fn add(&mut self, day: &str, key: &str, counts: Counts) {
        self.add(day, key, counts);
    }

    fn when_stored(&mut self, then: Then) {
        then();
    }
}

/// Budgets and their usage, shared by clones.
pub struct Accounts<L>(Arc<Shared<L>>);

impl<L> Clone for Accounts<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Shared<L> {
    limits: Limits,
    /// Seconds since 1970.
    clock: fn() -> u64,
    state: Mutex<State<L>>,
}

struct State<L> {
    /// Usage that is known, except of answers in progress.
    sums: Sums,
    ledger: L,
    /// Meters of requests in progress by day and key. Each has also counted the sums.
    meters: BTreeMap<(String, String), Arc<Meter>>,
}

impl<L: Ledger> State<L> {
    /// The budget of a key on a day.
    fn key(&mut self, limit: Limit, day: &str, key: &str) -> Metered {
        self.meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        let new = || Metered::new(Scope::Key, limit, self.sums.get(day, key).spent()).meter;
        let meter = self.meters.entry((day.to_owned(), key.to_owned())).or_insert_with(new).clone();
        Metered { scope: Scope::Key, limit, meter }
    }

    fn count(&mut self, day: &str, key: &str, counts: Counts) {
        self.sums.add(day, key, counts);
        self.ledger.add(day, key, counts);
    }
}

/// A budget with the meter of its usage.
#[derive(Clone)]
struct Metered {
    scope: Scope,
    limit: Limit,
    meter: Arc<Meter>,
}

impl Metered {
    fn new(scope: Scope, limit: Limit, spent: Spent) -> Self {
        let meter = Meter::default();
        meter.allow(
            limit.tokens.map_or(f64::INFINITY, |tokens| tokens as f64),
            limit.seconds.map_or(f64::INFINITY, |seconds| seconds * 1e3),
        );
        spend(&meter, spent);
        Self { scope, limit, meter: Arc::new(meter) }
    }

    fn spent(&self) -> Spent {
        let (tokens, ms) = self.meter.spent();
        Spent { tokens, seconds: ms / 1e3 }
    }
}

fn spend(meter: &Meter, Spent { tokens, seconds }: Spent) {
    meter.spend(usize::try_from(tokens).unwrap_or(usize::MAX), seconds * 1e3);
}

/// The budget of a batch, shared by clones.
#[derive(Clone)]
pub struct BatchBudget(Metered);

impl<L: Ledger> Accounts<L> {
    /// Accounts with the usage so far, for a clock in seconds since 1970.
    pub fn new(limits: Limits, clock: fn() -> u64, sums: Sums, ledger: L) -> Self {
        Self(Arc::new(Shared { limits, clock, state: Mutex::new(State { sums, ledger, meters: BTreeMap::new() }) }))
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget of a batch with the usage of its answers so far.
    pub fn batch(&self, spent: Spent) -> BatchBudget {
        BatchBudget(Metered::new(Scope::Batch, self.0.limits.batch, spent))
    }

    /// Opens the bill of a request. `caller` is the key of a request that names none.
    ///
    /// # Errors
    /// [`crate::Error::BudgetExceeded`] if nothing is left for any prompt.
    pub fn bill(&self, asker: &Asker, caller: &str, batch: Option<&BatchBudget>) -> Result<Bill<L>> {
        let key = if asker.key.is_empty() { caller } else { &asker.key };
        let key = self.state().sums.counted_key(&day((self.0.clock)()), key.to_owned());
        self.open(asker, (key, self.0.limits.key), batch)
    }

    /// Opens the bill of a request of a known key, whatever key it names. `own` replaces limits of all keys.
    ///
    /// # Errors
    /// [`crate::Error::BudgetExceeded`] if nothing is left for any prompt.
    pub fn bill_of_key(
        &self,
        asker: &Asker,
        (name, own): (&str, Limit),
        batch: Option<&BatchBudget>,
    ) -> Result<Bill<L>> {
        let Limit { tokens, seconds } = self.0.limits.key;
        let limit = Limit { tokens: own.tokens.or(tokens), seconds: own.seconds.or(seconds) };
        self.open(asker, (name.to_owned(), limit), batch)
    }

    fn open(&self, asker: &Asker, (key, key_limit): (String, Limit), batch: Option<&BatchBudget>) -> Result<Bill<L>> {
        let limit = self.0.limits.request.and(asker.limit);
        let request = Metered::new(Scope::Request, limit, Spent::default());
        let bill = Bill {
            accounts: self.clone(),
            key,
            key_limit,
            request,
            batch: batch.map(|batch| batch.0.clone()),
            admitted: None,
            cached_tokens: 0,
        };
        bill.ask(&mut self.state(), SHORTEST_PROMPT)?;
        Ok(bill)
    }

    /// Calls `then` when all counts so far are stored.
    pub fn when_stored(&self, then: Then) {
        self.state().ledger.when_stored(then);
    }

    /// Usage by day and key, except of answers in progress.
    pub fn sums(&self) -> Sums {
        self.state().sums.clone()
    }
}

/// Accounts of an engine beside which others may count in the same texts, one for each day.
impl Accounts<Sums> {
    /// The days whose texts must be merged: today, and those with counts that are not stored.
    pub fn days(&self) -> BTreeSet<String> {
        let unsaved = self.state();
        unsaved.ledger.rows.keys().map(|(day, _)| day.clone()).chain([day((self.0.clock)())]).collect()
    }

    /// Reads the stored text of a day, to which other engines may have added, and returns it with the counts that it lacks. Its damaged
    /// lines stay.
    pub fn merge(&self, day: &str, text: &str) -> String {
        let mut state = self.state();
        let State { sums, ledger, meters } = &mut *state;
        let mut merged = Sums::default();
        let lines: Vec<&str> = text.split('\n').collect();
        let damaged = merged.read(text.as_bytes()).into_iter().map(|number| format!("{}\n", lines[number - 1]));
        let mut text: String = damaged.collect();
        let is_of_day = |(other, _): &(String, String)| other == day;
        for ((_, key), counts) in ledger.rows.extract_if(.., |place, _| is_of_day(place)) {
            merged.add(day, &key, counts);
        }
        for ((_, key), meter) in meters.iter().filter(|(place, _)| is_of_day(place)) {
            let (before, now) = (sums.get(day, key).spent(), merged.get(day, key).spent());
            let tokens = now.tokens.saturating_sub(before.tokens);
            spend(meter, Spent { tokens, seconds: (now.seconds - before.seconds).max(0.0) });
        }
        text.extend(merged.lines().map(|(_, line)| line));
        sums.rows.retain(|place, _| !is_of_day(place));
        sums.rows.append(&mut merged.rows);
        text
    }
}

/// Usage of a request. Its prompt is counted when it is admitted, its answer when this value is dropped.
pub struct Bill<L: Ledger> {
    accounts: Accounts<L>,
    key: String,
    /// Limit of the key in a day.
    key_limit: Limit,
    request: Metered,
    batch: Option<Metered>,
    admitted: Option<Admitted>,
    /// Prompt tokens that were cached; unknown for an aborted answer.
    cached_tokens: u64,
}

/// The admission of a request.
struct Admitted {
    /// A request counts for the day on which it began.
    day: String,
    prompt_tokens: usize,
    /// Keeps the key's meter in use.
    _key: Metered,
}

impl<L: Ledger> Bill<L> {
    /// Admits the request. Returns the meters of its answers.
    ///
    /// # Errors
    /// [`crate::Error::BudgetExceeded`].
    pub fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        let accounts = self.accounts.clone();
        let mut state = accounts.state();
        let (day, key) = self.ask(&mut state, prompt_tokens)?;
        let meters: Vec<Arc<Meter>> =
            [&self.request, &key].into_iter().chain(&self.batch).map(|budget| budget.meter.clone()).collect();
        meters.iter().for_each(|meter| meter.spend(prompt_tokens, 0.0));
        let counts = Counts { requests: 1, prompt_tokens: prompt_tokens as u64, ..Counts::default() };
        state.count(&day, &self.key, counts);
        self.admitted = Some(Admitted { day, prompt_tokens, _key: key });
        Ok(meters)
    }

    /// Ends the bill with the usage of the whole answer.
    pub fn close(mut self, used: &Counts) {
        self.cached_tokens = used.cached_tokens;
    }

    /// The same, and calls `then` when the usage is stored.
    pub fn close_then(self, used: &Counts, then: Then) {
        let accounts = self.accounts.clone();
        self.close(used);
        accounts.when_stored(then);
    }

    /// Checks that a prompt of so many tokens is allowed. Returns today and the key's budget.
    fn ask(&self, state: &mut State<L>, prompt_tokens: usize) -> Result<(String, Metered)> {
        let now = (self.accounts.0.clock)();
        let today = day(now);
        state.sums.forget_before(&day(now.saturating_sub(DAYS * DAY)));
        let key = state.key(self.key_limit, &today, &self.key);
        let budget = |metered: &Metered| Budget { scope: metered.scope, limit: metered.limit, spent: metered.spent() };
        let budgets: Vec<Budget> = [&self.request, &key].into_iter().chain(&self.batch).map(budget).collect();
        let refusal = Counts { refusals: 1, ..Counts::default() };
        admit(&budgets, prompt_tokens, now).inspect_err(|_| state.count(&today, &self.key, refusal))?;
        Ok((today, key))
    }
}

impl<L: Ledger> Drop for Bill<L> {
    fn drop(&mut self) {
        let Some(Admitted { day, prompt_tokens, .. }) = &self.admitted else { return };
        let Spent { tokens, seconds } = self.request.spent();
        let completion_tokens = tokens.saturating_sub(*prompt_tokens as u64);
        let counts = Counts { completion_tokens, cached_tokens: self.cached_tokens, seconds, ..Counts::default() };
        self.accounts.state().count(day, &self.key, counts);
    }
}
