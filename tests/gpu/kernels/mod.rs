//! Every kernel against its reference: one table of kernel x sizes x layout, in the spirit of ggml's `test-backend-ops`.
//!
//! A new kernel needs a case in `src/kernels/cases` and rows in `table`. Groups of rows run in parallel, each on its own device.
//! `OCELLI_KERNEL=rope` runs the rows of one kernel, `OCELLI_LIST=1` prints every row. Every second row of a kernel and its features runs only
//! with `OCELLI_TESTS=all`.

mod alone;
mod cache;
mod export;
mod specials;
pub(crate) mod table;
mod tiers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ocelli::gpu::{Features, Gpu};
use ocelli::kernels::cases::{self, Case, Harness};

/// Result of a row: numbers checked and the largest difference, or a description of the fault.
fn judge(gpu: &Gpu, case: &Case, seed: u64) -> Result<(usize, f64), String> {
    let complaint = |error: ocelli::Error| error.to_string();
    let mut harness = Harness::new(gpu, seed);
    case.record(&mut harness).map_err(complaint)?;
    let file = case.kernel.shader().file();
    if let Some(other) = harness.recording.dispatches().find(|dispatch| dispatch.kernel.shader().file() != file) {
        return Err(format!("ran {}", other.kernel.name()));
    }
    let outcomes = pollster::block_on(harness.finish()).map_err(complaint)?;
    let checked = outcomes.iter().map(|outcome| outcome.checked).sum();
    if checked == 0 {
        return Err("the reference wrote nothing".into());
    }
    match outcomes.iter().find(|outcome| !outcome.is_right()) {
        Some(outcome) => Err(format!("{} (tolerance {:.1e})", outcome.detail, outcome.tolerance)),
        None => Ok((checked, outcomes.iter().fold(0.0, |worst, outcome| worst.max(outcome.worst)))),
    }
}

#[derive(Default)]
struct Tally {
    cases: usize,
    numbers: usize,
    worst: f64,
    time: Duration,
}

/// Runs a group of rows on its own device.
fn run(group: &str) {
    let (_, rows) = table::GROUPS.into_iter().find(|(name, _)| *name == group).expect("a group");
    let only = std::env::var("OCELLI_KERNEL").ok();
    let list = std::env::var_os("OCELLI_LIST").is_some();
    let gpu = pollster::block_on(Gpu::open()).expect("a device");
    let features = tiers::features(&gpu);
    let mut tallies: BTreeMap<(&str, String), Tally> = BTreeMap::new();
    let mut failures = Vec::new();
    let runs_all = only.is_some() || std::env::var("OCELLI_TESTS").is_ok_and(|tests| tests == "all");
    let mut kinds: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (index, case) in rows().iter().enumerate() {
        let (file, uses) = (case.kernel.shader().file(), case.kernel.needs());
        // A processor has the kernels that recordings for it have.
        let is_there = gpu.report().threads.is_none() || case.kernel.op().is_some();
        if !is_there || !features.contains(uses) || only.as_ref().is_some_and(|only| only != file) {
            continue;
        }
        let of_kind = kinds.entry((case.kernel.name().to_string(), uses.name())).or_default();
        *of_kind += 1;
        if !runs_all && of_kind.is_multiple_of(2) {
            continue;
        }
        let start = Instant::now();
        let result = judge(&gpu, case, index as u64 + 1);
        if list {
            println!("{case:?}: {result:?} {:?}", start.elapsed());
        }
        let tally = tallies.entry((file, uses.name())).or_default();
        tally.cases += 1;
        tally.time += start.elapsed();
        match result {
            Ok((checked, worst)) => (tally.numbers, tally.worst) = (tally.numbers + checked, tally.worst.max(worst)),
            Err(fault) => failures.push(format!("{case:?}: {fault}")),
        }
    }
    for ((kernel, tier), Tally { cases, numbers, worst, time }) in &tallies {
        println!("{kernel:<14} {tier:<10} {cases:>4} cases {numbers:>9} numbers, worst {worst:.1e}, {time:.1?}");
    }
    assert!(only.is_some() || !tallies.is_empty(), "no row of {group} ran");
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

/// A test for each group.
macro_rules! groups {
    ($($group:ident),*) => {
        $(#[test]
        fn $group() {
            run(stringify!($group));
        })*

        #[test]
        fn every_group_of_rows_is_run() {
            assert_eq!(table::GROUPS.map(|(name, _)| name), [$(stringify!($group)),*]);
        }
    };
}

groups!(
    attention,
    attention_step,
    embed_rows,
    fused_products,
    few_rows,
    few_rows_linear,
    many_rows,
    moving,
    pointwise,
    recurrent,
    rope_append,
    sampling
);

#[test]
fn every_kernel_and_tier_has_rows() {
    let mut tiers: BTreeMap<&str, Features> = BTreeMap::new();
    for case in table::GROUPS.iter().flat_map(|(_, rows)| rows()) {
        let kernel = &case.kernel;
        let known = tiers.entry(kernel.shader().file()).or_insert(Features::NONE);
        *known |= kernel.needs();
        let self_test = cases::of(kernel).expect("cases");
        assert!(self_test.iter().any(|own| own.kernel == *kernel), "{case:?} is not what the self-test runs");
    }
    let of = |file: &str| tiers.get(file).copied();
    assert_eq!(of("matvec"), Some(Features::SUBGROUPS | Features::DOT));
    assert_eq!(of("matmul_dp4a"), Some(Features::DOT));
    assert_eq!(of("matmul_tile"), Some(Features::F16 | Features::LARGE_WORKGROUPS));
    assert_eq!([of("attention_step"), of("matmul_quads")], [Some(Features::SUBGROUPS); 2]);
    if let Ok(only) = std::env::var("OCELLI_KERNEL") {
        assert!(tiers.contains_key(only.as_str()), "no kernel is called {only}: {:?}", tiers.keys());
    }
}
