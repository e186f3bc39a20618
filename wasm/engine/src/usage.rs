//! Budgets of a page, whose worker stores the counts: `www/src/usage`.

use ocelli::error::Error;
use ocelli::usage::{Accounts, Limits, Sums};
use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_shared::{JsResult, error_object, to_js};

use crate::service::OcelliWork;

/// Accounts of a page. Other engines may count in the same storage.
#[wasm_bindgen]
pub struct OcelliAccounts {
    accounts: Accounts<Sums>,
    /// False without budgets: then only requests with their own budget are counted.
    has_budgets: bool,
}

#[wasm_bindgen]
impl OcelliAccounts {
    /// Opens accounts.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "Budgets | null")] budgets: JsValue) -> JsResult<Self> {
        let limits: Option<Limits> = serde_wasm_bindgen::from_value(budgets)
            .map_err(|error| error_object(Error::request("budgets", error.to_string())))?;
        let clock = || (js_sys::Date::now() / 1e3) as u64;
        let accounts = Accounts::new(limits.unwrap_or_default(), clock, Sums::default(), Sums::default());
        Ok(Self { accounts, has_budgets: limits.is_some() })
    }

    /// Opens the bill of a request, before its pictures are shown. Returns whether the request is counted. Throws `budget-exceeded` if
    /// nothing is left for any prompt.
    pub fn bill(&self, work: &mut OcelliWork) -> JsResult<bool> {
        let asker = work.asker().filter(|asker| self.has_budgets || !asker.limit.is_none());
        let Some(bill) = asker.map(|asker| self.accounts.bill(asker, "", None)) else { return Ok(false) };
        work.count_by(bill.map_err(error_object)?);
        Ok(true)
    }

    /// The days whose stored texts must be [merged](Self::merge).
    pub fn days(&self) -> Vec<String> {
        self.accounts.days().into_iter().collect()
    }

    /// Reads the stored text of a day, and returns it with the counts that it lacks.
    pub fn merge(&self, day: &str, text: &str) -> String {
        self.accounts.merge(day, text)
    }
}

/// `UsageReport` of `usage.d.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageReport {
    rows: Vec<Value>,
    damaged_lines: usize,
    csv: String,
}

/// Usage by day and key in stored texts.
#[wasm_bindgen(js_name = usageReport, unchecked_return_type = "UsageReport")]
pub fn usage_report(text: &str) -> JsResult<JsValue> {
    let mut sums = Sums::default();
    sums.read(text.as_bytes());
    to_js(&UsageReport { rows: sums.report(), damaged_lines: sums.damaged_lines, csv: sums.csv() })
}
