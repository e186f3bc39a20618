//! Reasoning before the answer and its limit, read from the fields of several servers' APIs.

use super::field::{Field, Fields};
use crate::error::Result;

/// Token limits of reasoning in Alibaba's API, vLLM and llama.cpp.
const BUDGETS: [&str; 3] = ["thinking_budget", "thinking_token_budget", "thinking_budget_tokens"];
/// Token limit by effort, if the request sets none.
const EFFORTS: [(&str, Option<usize>); 6] = [
    ("minimal", Some(1024)),
    ("low", Some(1024)),
    ("medium", Some(8192)),
    ("high", None),
    ("xhigh", None),
    ("max", None),
];

/// Requested reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// Token limit, at least 1; if absent, the limit of the answer.
    pub budget: Option<usize>,
    /// The field that requests it.
    pub(super) field: String,
    /// True if nothing but an effort requests it. Applications set efforts for all models.
    pub(super) is_effort: bool,
}

impl Thinking {
    /// Reads the request and its effort; `None` if reasoning is off or not mentioned.
    pub(super) fn read(fields: &Fields<'_>, effort: Option<Field<'_>>) -> Result<Option<Self>> {
        let of_template = fields.get("chat_template_kwargs").map(|arguments| arguments.object()).transpose()?;
        if let Some(arguments) = &of_template {
            arguments.only(&["enable_thinking", BUDGETS[0]])?;
        }
        let places = || of_template.iter().chain([fields]);
        let switch = places().find_map(|place| Some((place, place.get("enable_thinking")?)));
        let is_on = switch.as_ref().map(|(place, _)| place.flag("enable_thinking")).transpose()?;
        let bound = places().flat_map(|place| BUDGETS.map(|name| place.get(name))).flatten().next();
        let most = bound.as_ref().map(read_budget).transpose()?;
        let by_effort = effort.as_ref().map(read_effort).transpose()?.flatten();
        let is_on = is_on.or(by_effort.map(|(is_on, _)| is_on)).unwrap_or(bound.is_some());
        let is_effort = switch.is_none() && bound.is_none();
        let field = switch.map(|(_, field)| field).or(effort).or(bound).map(|field| field.path);
        let budget = most.or(by_effort.and_then(|(_, most)| most));
        Ok(field.filter(|_| is_on && budget != Some(0)).map(|field| Self { budget, field, is_effort }))
    }
}

/// A whole number; 0 turns reasoning off, -1 means no limit.
fn read_budget(bound: &Field<'_>) -> Result<usize> {
    match bound.integer()? {
        0 => Ok(0),
        -1 => Ok(usize::MAX),
        _ => bound.count(),
    }
}

/// Returns whether reasoning is on, and its token limit; `None` if the effort leaves that open.
fn read_effort(effort: &Field<'_>) -> Result<Option<(bool, Option<usize>)>> {
    let name = effort.str()?;
    if name == "none" || name == "auto" {
        return Ok((name == "none").then_some((false, None)));
    }
    match EFFORTS.iter().find(|(known, _)| *known == name) {
        Some((_, most)) => Ok(Some((true, *most))),
        None => Err(effort.fault("must be none, minimal, low, medium, high, xhigh, max or auto")),
    }
}
