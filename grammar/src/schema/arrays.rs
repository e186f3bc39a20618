//! Arrays.

use serde_json::{Value, json};

use super::{Keywords, Walk};
use crate::error::Result;

/// Keywords about arrays.
pub(super) const KEYWORDS: [&str; 10] = [
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
];

/// Largest number of items that is enforced; a larger maximum is not enforced.
const MAX_ITEMS: u64 = 4096;

impl<'a> Walk<'a> {
    /// Adds constraints on arrays.
    pub(super) fn arrays(&mut self, given: &'a Keywords, out: &mut Keywords, narrow: bool) -> Result<()> {
        let (least, most) = (self.count(given, "minItems")?, self.count(given, "maxItems")?);
        if least.is_some_and(|least| least > MAX_ITEMS) {
            return self.refuse("minItems", format!("more than {MAX_ITEMS} items cannot be counted"));
        }
        let is_true = |keyword: &str| given.get(keyword) == Some(&Value::Bool(true));
        if is_true("uniqueItems") && most.is_none_or(|most| most > 1) {
            return self.refuse("uniqueItems", "what came before cannot be forbidden to come again");
        }
        if given.contains_key("contains")
            && (self.count(given, "minContains")? != Some(0) || given.contains_key("maxContains"))
        {
            return self.refuse("contains", "cannot be enforced: say with prefixItems or items which items there are");
        }
        // Before draft 2020-12, a list in `items` had the meaning of `prefixItems`, and `additionalItems` that of `items`.
        let (first, rest) = match given.get("items") {
            Some(Value::Array(list)) => (Some(("items", list)), "additionalItems"),
            _ => (given.get("prefixItems").and_then(Value::as_array).map(|list| ("prefixItems", list)), "items"),
        };
        let rest = if given.contains_key(rest) { rest } else { "unevaluatedItems" };
        let combined = ["$ref", "allOf", "anyOf", "oneOf", "if"].iter().any(|keyword| given.contains_key(*keyword));
        if rest == "unevaluatedItems" && combined && given.get(rest).is_some_and(|value| value != &Value::Bool(true)) {
            return self.refuse(rest, "cannot be enforced beside combined schemas");
        }
        if let Some((keyword, list)) = first {
            let mut normal = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                normal.push(self.inner(&format!("/{keyword}/{index}"), item)?);
            }
            out.insert("prefixItems".into(), Value::Array(normal));
        }
        match given.get(rest) {
            Some(items) => {
                let items = self.inner(&format!("/{rest}"), items)?;
                out.insert("items".into(), items);
            }
            None if narrow || first.is_some() => drop(out.insert("items".into(), self.any())),
            None => {}
        }
        if let Some(least) = least.filter(|least| *least > 0) {
            out.insert("minItems".into(), json!(least));
        }
        if let Some(most) = most {
            out.insert("maxItems".into(), json!(most.min(MAX_ITEMS)));
        }
        Ok(())
    }
}
