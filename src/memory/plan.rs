//! The choice of a plan within a memory budget, from the model's shape and the device's limits, before anything is allocated.

use super::estimate::Estimate;
use super::{MemoryOptions, PhaseBytes, Plan, PurposeBytes, Residency, Rows};
use crate::config::KvPrecision;
use crate::error::{Error, Result};
use crate::families::{ModelConfig, Pictures, definition};
use crate::layers::TextRows;
use crate::layers::pass::widest;
use crate::model::DRAFT_ROWS;
use crate::package::manifest::Manifest;
use crate::state::State;

/// Pictures whose features are kept for later questions.
pub const KEPT_PICTURES: usize = 4;
/// Idle conversations of a model with recurrent layers.
const MAX_IDLE: usize = 2;
/// Default context length: enough for a picture and a long conversation.
const DEFAULT_CONTEXT: usize = 4096;
/// Longer contexts that are tried if the caller allows them.
const LONGER_CONTEXTS: [usize; 3] = [32_768, 16_384, 8192];
/// Bytes that the keys and values of a longer context may always take.
const MODEST_CACHE: u64 = 1 << 30;
/// Shorter contexts that are tried when memory is short.
const SHORTER_CONTEXTS: [usize; 2] = [3072, 2048];
/// Longest edge below which pictures are scaled only after the context was cut.
const WELCOME_EDGE: usize = 1036;

/// Rows at a time of prompts, of the head and of the tower, and pictures whose features are kept.
#[derive(Debug, Clone, Copy)]
struct Batching {
    prompt: usize,
    head: usize,
    vision: usize,
    pictures: usize,
}

const fn batching(prompt: usize, head: usize, vision: usize, pictures: usize) -> Batching {
    Batching { prompt, head, vision, pictures }
}

/// From the fastest to the smallest.
const STEPS: [Batching; 7] = [
    batching(256, 32, 1024, KEPT_PICTURES),
    batching(256, 8, 512, 2),
    batching(128, 8, 256, 2),
    batching(128, 4, 256, 1),
    batching(64, 2, 128, 1),
    batching(32, 1, 64, 1),
    batching(16, 1, 64, 1),
];

/// Chooses a plan. With enough memory everything is as fast as possible. Otherwise the following are reduced, in this order: residency of the
/// tower, precision of the cache, rows at a time, size of very large pictures, a context length that nobody requested, size of pictures.
///
/// # Errors
/// [`Error::BudgetTooSmall`] if nothing fits the budget, [`Error::LimitsTooSmall`] if nothing fits the device.
pub fn plan(manifest: &Manifest, max_binding: u64, memory_options: MemoryOptions) -> Result<Plan> {
    let config = &manifest.config;
    let mut estimate = Estimate::new(manifest, max_binding)?;
    let mut plan_of = |candidate: Plan| {
        let phases = estimate.phases(&candidate)?;
        checked(candidate, phases)
    };
    let mut refusal = None;
    for candidate in candidates(config, max_binding, memory_options) {
        match plan_of(candidate) {
            Ok(plan) => {
                let plan = improved(config, max_binding, plan, &mut plan_of);
                return Ok(lengthened(manifest, memory_options, plan, plan_of));
            }
            Err(error) => refusal = Some(more_telling(refusal, error)),
        }
    }
    Err(refusal.unwrap_or_else(|| Error::Internal { detail: "there is no way to run the model".into() }))
}

/// Improves a plan by what still fits: `STEPS` are limited by the phase with the least room, and other phases may have more.
fn improved(config: &ModelConfig, limit: u64, mut plan: Plan, mut plan_of: impl FnMut(Plan) -> Result<Plan>) -> Plan {
    let better: [fn(&mut Plan, Rows, usize); 3] = [
        |plan, rows, _| plan.rows.text = rows.text,
        |plan, rows, _| plan.rows.vision = rows.vision,
        |plan, _, feature_rows| plan.feature_rows = feature_rows,
    ];
    for change in better {
        for step in STEPS {
            let mut more = plan.clone();
            change(&mut more, rows(config, step, limit), feature_rows(config, &plan, step.pictures, limit));
            if let Ok(fits) = plan_of(more) {
                plan = fits;
                break;
            }
        }
    }
    // These come last: steps of several rows and empty pages must not reduce anything else.
    for step in DRAFT_ROWS.into_iter().rev().filter(|&step| step <= plan.rows.text.head) {
        let mut more = plan.clone();
        more.rows.text.step = step;
        if let Ok(fits) = plan_of(more) {
            plan = fits;
            break;
        }
    }
    let plan = plan_of(Plan { keeps_pages: true, ..plan.clone() }).unwrap_or(plan);
    let is_recurrent = config.text().delta.is_some();
    let rests = |idle_conversations| plan_of(Plan { idle_conversations, ..plan.clone() }).ok();
    (1..=MAX_IDLE).rev().filter(|_| is_recurrent).find_map(rests).unwrap_or(plan)
}

/// A plan with the longest context that the caller allows and that fits without reducing anything else. Keys and values may take as much as
/// [`MODEST_CACHE`] or a quarter of the weights, because the memory of a device is not known.
fn lengthened(
    manifest: &Manifest,
    memory_options: MemoryOptions,
    plan: Plan,
    mut plan_of: impl FnMut(Plan) -> Result<Plan>,
) -> Plan {
    let text = manifest.config.text();
    let allowed = memory_options.longest_context.filter(|_| memory_options.context.is_none());
    let (allowed, cache) = (allowed.unwrap_or(0).min(text.max_position_embeddings), manifest.total_bytes() / 4);
    let entry = State::entry_bytes(text, plan.kv);
    let is_longer = |&context: &usize| context > plan.context && entry * context as u64 <= cache.max(MODEST_CACHE);
    let longer = LONGER_CONTEXTS.into_iter().map(|context| context.min(allowed)).filter(is_longer);
    let found = longer.into_iter().find_map(|context| plan_of(Plan { context, ..plan.clone() }).ok());
    found.unwrap_or(plan)
}

/// A plan that takes less than `failed`, for which the device had no memory. Fails like [`plan`] if there is none.
pub fn smaller(manifest: &Manifest, max_binding: u64, memory_options: MemoryOptions, failed: &Plan) -> Result<Plan> {
    plan(manifest, max_binding, MemoryOptions { budget: Some(failed.peak - failed.peak / 8), ..memory_options })
}

/// The candidate if it fits, otherwise the missing amount as an error.
fn checked(candidate: Plan, phases: Vec<PhaseBytes>) -> Result<Plan> {
    let Some(largest) = phases.iter().max_by_key(|phase| phase.total) else {
        return Err(Error::Internal { detail: "a plan without phases".into() });
    };
    let peak = largest.total;
    if let Some(budget) = candidate.budget.filter(|&budget| budget < peak) {
        let part = |row: &PurposeBytes| (row.purpose.name().to_owned(), row.bytes);
        let parts = largest.purposes.iter().filter(|row| row.bytes > 0).map(part).collect();
        return Err(Error::BudgetTooSmall { what: "the model".into(), budget, needed: peak, parts });
    }
    Ok(Plan { phases, peak, ..candidate })
}

/// Returns the refusal with the smaller requirement.
fn more_telling(earlier: Option<Error>, error: Error) -> Error {
    match (&earlier, &error) {
        (Some(Error::BudgetTooSmall { needed, .. }), Error::BudgetTooSmall { needed: less, .. }) if less < needed => {
            error
        }
        (Some(Error::LimitsTooSmall { .. }) | None, _) => error,
        _ => earlier.unwrap_or(error),
    }
}

/// The ways to run a model, best first; their phases are not computed yet.
fn candidates(config: &ModelConfig, limit: u64, memory_options: MemoryOptions) -> impl Iterator<Item = Plan> + '_ {
    let (welcome, small) = edges(definition(config).pictures());
    let stages = definition(config).tower().map(|tower| tower.stages());
    let mut shapes = Vec::new();
    for edges in [welcome, small] {
        for context in contexts(config, memory_options) {
            shapes.extend(edges.iter().map(|&edge| (context, edge)));
        }
    }
    let steps = shapes.into_iter().flat_map(|shape| STEPS.map(|step| (shape, step)));
    steps.flat_map(move |((context, longest_edge), step)| {
        let (rows, budget) = (rows(config, step, limit), memory_options.budget);
        let mut all = Vec::new();
        for kv in precisions(config, memory_options, context) {
            for (vision, vision_slots) in residencies(stages, memory_options) {
                let (phases, peak, feature_rows, keeps_pages, idle_conversations) = (Vec::new(), 0, 0, false, 0);
                let plan = Plan {
                    budget,
                    context,
                    kv,
                    vision_kv: memory_options.vision_kv.unwrap_or(kv.min(KvPrecision::F16)),
                    keeps_pages,
                    idle_conversations,
                    vision,
                    vision_slots,
                    rows,
                    longest_edge,
                    feature_rows,
                    phases,
                    peak,
                };
                all.push(Plan { feature_rows: self::feature_rows(config, &plan, step.pictures, limit), ..plan });
            }
        }
        all
    })
}

fn contexts(config: &ModelConfig, memory_options: MemoryOptions) -> Vec<usize> {
    let made_for = config.text().max_position_embeddings;
    if let Some(asked) = memory_options.context {
        return vec![asked.clamp(1, made_for)];
    }
    let longest = DEFAULT_CONTEXT.min(made_for);
    std::iter::once(longest).chain(SHORTER_CONTEXTS.into_iter().filter(|&shorter| shorter < longest)).collect()
}

/// Longest edges of pictures: good ones, and smaller ones that are better than nothing.
fn edges(pictures: Option<&dyn Pictures>) -> (Vec<usize>, Vec<usize>) {
    let Some(pictures) = pictures else { return (vec![0], Vec::new()) };
    let (full, step) = (pictures.largest_edge(), pictures.cell());
    let welcome = [full, full.midpoint(WELCOME_EDGE), WELCOME_EDGE].into_iter().filter(|&edge| edge <= full);
    let largest = full.min(WELCOME_EDGE);
    let small = [3, 2, 1].map(|quarters| (largest * quarters / 4).next_multiple_of(step)).into_iter();
    let mut welcome: Vec<usize> = welcome.collect();
    welcome.dedup();
    (welcome, small.filter(|&edge| edge < largest).collect())
}

fn precisions(config: &ModelConfig, memory_options: MemoryOptions, context: usize) -> Vec<KvPrecision> {
    match memory_options.kv {
        Some(kv) => vec![kv],
        None => {
            let best = State::default_precision(config.text(), context);
            KvPrecision::ALL.into_iter().filter(|&kv| kv >= best).collect()
        }
    }
}

/// Possible residencies of the tower, and the number of layers at once if it is streamed.
fn residencies(stages: Option<usize>, memory_options: MemoryOptions) -> Vec<(Residency, usize)> {
    let Some(stages) = stages else { return vec![(Residency::Resident, 0)] };
    let depth = stages.saturating_sub(2);
    let all =
        [(Residency::Resident, depth), (Residency::Dropped, depth), (Residency::Streamed, 2), (Residency::Streamed, 1)];
    all.into_iter().filter(|(residency, _)| memory_options.vision.is_none_or(|asked| asked == *residency)).collect()
}

/// Rows at a time: those of a step in the list, or as many as fit a binding.
fn rows(config: &ModelConfig, Batching { prompt, head, vision, .. }: Batching, limit: u64) -> Rows {
    let fitting = |width: usize| usize::try_from(limit / (4 * width as u64)).unwrap_or(usize::MAX);
    let prompt = prompt.min(fitting(widest(config.text()))).max(1);
    let head = head.min(fitting(config.text().vocab_size)).clamp(1, prompt);
    let vision = definition(config).tower().map_or(0, |tower| {
        let (alignment, fitting) = (tower.row_alignment(), fitting(tower.widest_row()));
        (vision.min(fitting) / alignment * alignment).max(alignment)
    });
    Rows { text: TextRows { prompt, head, step: 1 }, vision }
}

/// Feature rows for this many of the largest pictures, and with enough memory for the longest prompt.
fn feature_rows(config: &ModelConfig, plan: &Plan, pictures: usize, limit: u64) -> usize {
    let Some(rules) = definition(config).pictures() else { return 0 };
    let shapes = rules.shapes(plan.longest_edge, plan.context);
    let largest = shapes.iter().map(|shape| rules.feature_rows(shape.grid)).max().unwrap_or(0);
    let most = limit / (4 * config.text().hidden_size as u64);
    let several = largest.saturating_mul(pictures);
    let wanted = if plan.budget.is_some() { several } else { several.max(rules.max_feature_rows(plan.context)) };
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX)).max(largest)
}
