//! Races of kernels: every kernel is interpreted, with workgroup memory that holds anything at first, subgroups of 4 to 128 lanes in any order, and
//! lanes in an order that a seed decides. An access is a race if no barrier separates it from one of another lane or workgroup and one of both
//! writes. All lanes must reach each barrier, and all lanes of a subgroup each of its operations.
//!
//! One schedule of some kernels runs. With `OCELLI_TESTS=all` these have 20, and every kernel has one; `OCELLI_SCHEDULES=20` runs as many of each, and
//! `OCELLI_KERNEL=rope` only the kernels of a file.

mod eval;
mod machine;
mod math;
mod memory;

use std::collections::{BTreeSet, HashSet};

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module};
use ocelli::gpu::{Buffer, Dispatch, Features, Gpu, Kernel};
use ocelli::kernels::cases::{self, Case, Harness, Holds, Output, Random};

use crate::device::gpu;
use crate::kernels::table;
use machine::{Machine, Subgroups};
use memory::Memory;

/// Schedules of the sampled kernels in the long tests.
const SCHEDULES: u64 = 20;
/// One of so many kernels is sampled.
const SAMPLE: usize = 24;
/// Most workgroups of a launch.
const MOST_WORKGROUPS: usize = 12;

fn parse(kernel: &Kernel, source: &str) -> (Module, ModuleInfo) {
    let source = kernel.needs().directives(false) + source;
    let module = naga::front::wgsl::parse_str(&source).expect("WGSL");
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .expect("a valid module");
    (module, info)
}

/// Subgroups of a size that a seed decides, with lanes in order or in any order. Quads consist of neighbours.
fn subgroups(kernel: &Kernel, lanes: usize, random: &mut Random) -> Subgroups {
    let size = 4 << (random.bits() % 6);
    let mut order: Vec<usize> = (0..lanes).collect();
    if kernel.shader().file() != "matmul_quads" && random.bits().is_multiple_of(2) {
        for place in (1..lanes).rev() {
            order.swap(place, random.bits() as usize % (place + 1));
        }
    }
    let mut places = vec![(0, 0); lanes];
    for (place, lane) in order.into_iter().enumerate() {
        places[lane] = (place / size, place % size);
    }
    Subgroups { size, places }
}

fn contents(gpu: &Gpu, buffer: &Buffer) -> Vec<u8> {
    let words: Vec<u32> = pollster::block_on(gpu.read_as(&buffer.all())).expect("words");
    bytemuck::cast_slice(&words).to_vec()
}

/// The content of buffers during a case.
struct Held(Vec<(Buffer, Vec<u8>)>);

impl Held {
    fn of(&mut self, gpu: &Gpu, buffer: &Buffer) -> &mut Vec<u8> {
        let at = self.0.iter().position(|(known, _)| known.is(buffer)).unwrap_or_else(|| {
            self.0.push((buffer.clone(), contents(gpu, buffer)));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// Faults of a launch, whose results are written back if it ran whole; returns whether it did.
fn launch(gpu: &Gpu, dispatch: &Dispatch, source: &str, seed: u64, held: &mut Held) -> (BTreeSet<String>, bool) {
    let (module, info) = parse(&dispatch.kernel, source);
    let mut random = Random::new(seed);
    let mut globals = vec![Memory::default(); module.global_variables.len()];
    let slice = |binding: u32| binding.checked_sub(1).map(|index| &dispatch.buffers[index as usize]);
    let bound: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(handle, variable)| Some((handle, variable.binding?.binding)))
        .collect();
    for &(handle, binding) in &bound {
        globals[handle.index()] = Memory::new(match slice(binding) {
            None => dispatch.params.clone(),
            Some(slice) => held.of(gpu, &slice.buffer)[slice.offset as usize..][..slice.bytes as usize].to_vec(),
        });
    }
    let lanes = module.entry_points[0].workgroup_size.iter().product::<u32>() as usize;
    let subgroups = subgroups(&dispatch.kernel, lanes, &mut random);
    let mut machine = Machine::new((&module, &info), (dispatch.grid, globals), subgroups, random.bits().into());
    let [x, y, z] = dispatch.grid;
    let all = x as usize * y as usize * z as usize;
    let is_whole = all <= MOST_WORKGROUPS;
    let chosen: BTreeSet<usize> = match is_whole {
        true => (0..all).collect(),
        false => [0, 1, all - 1].into_iter().chain((0..3).map(|_| random.bits() as usize % all)).collect(),
    };
    for index in chosen {
        let place = [index as u32 % x, index as u32 / x % y, index as u32 / x / y];
        machine.run(place, [0, 0x7f, 0xff, 0xcd][seed as usize % 4]);
    }
    for (handle, binding) in bound {
        let is_storage = matches!(module.global_variables[handle].space, AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE));
        if let Some(slice) = slice(binding).filter(|_| is_storage) {
            let bytes = &machine.globals[handle.index()].bytes;
            held.of(gpu, &slice.buffer)[slice.offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }
    (machine.faults, is_whole)
}

/// Returns true if a word of an output is about the expected one. The interpreter rounds and orders sums in other ways than the device.
fn is_close(output: &Output, expected: u32, found: u32) -> bool {
    let (e, f) = (f32::from_bits(expected), f32::from_bits(found));
    match output.holds {
        _ if expected == found || e.is_nan() && f.is_nan() => true,
        Holds::Numbers => (e - f).abs() <= 1e-2 * output.largest(),
        Holds::Words | Holds::Halves => true,
    }
}

/// Faults of a case in a schedule, with `change` made to the text of its kernel.
fn faults(case: &Case, seed: u64, change: &dyn Fn(String) -> String) -> BTreeSet<String> {
    let gpu = gpu();
    let mut harness = Harness::new(gpu, 1);
    case.record(&mut harness).expect("a case");
    let (mut held, mut faults, mut ran_whole) = (Held(Vec::new()), BTreeSet::new(), true);
    for dispatch in harness.recording.dispatches() {
        let source = change(dispatch.kernel.source().expect("WGSL"));
        let (found, is_whole) = launch(gpu, dispatch, &source, seed, &mut held);
        faults.extend(found);
        ran_whole &= is_whole;
    }
    let is_compared = ran_whole && faults.is_empty();
    for output in harness.outputs().filter(|_| is_compared) {
        let words = |bytes: &[u8]| bytemuck::pod_collect_to_vec::<u8, u32>(bytes);
        let (expected, found) = (words(output.bytes()), words(held.of(gpu, &output.buffer)));
        let wrong = expected.iter().zip(&found).position(|(e, f)| !is_close(output, *e, *f));
        if let Some(at) = wrong {
            let [e, f] = [expected[at], found[at]].map(f32::from_bits);
            faults.insert(format!("{f} at {at} where {e} is right"));
        }
    }
    faults
}

/// The smallest rows of the self-test, each kernel of the table once.
fn all_kernels() -> Vec<Kernel> {
    let mut known = HashSet::new();
    let rows = table::GROUPS.iter().flat_map(|(_, rows)| rows()).map(|case| case.kernel);
    rows.filter(|kernel| known.insert(kernel.clone())).collect()
}

#[test]
fn no_kernel_has_a_race() {
    let variable = |name: &str| std::env::var(name).ok();
    let runs_all = variable("OCELLI_TESTS").is_some_and(|tests| tests == "all");
    let (only, more) = (variable("OCELLI_KERNEL"), variable("OCELLI_SCHEDULES").and_then(|more| more.parse().ok()));
    let kernels = all_kernels();
    let schedules = |index: usize, kernel: &Kernel| -> u64 {
        match &only {
            Some(only) if kernel.shader().file() != only => 0,
            Some(_) => more.unwrap_or(SCHEDULES),
            None if runs_all && index.is_multiple_of(SAMPLE) => more.unwrap_or(SCHEDULES),
            None if runs_all => more.unwrap_or(1),
            None => u64::from(index.is_multiple_of(SAMPLE)),
        }
    };
    let (mut found, mut run) = (Vec::new(), 0);
    for (index, kernel) in kernels.iter().enumerate() {
        let cases = if schedules(index, kernel) > 0 { cases::of(kernel).expect("a case") } else { Vec::new() };
        for (case, seed) in cases.iter().flat_map(|case| (1..=schedules(index, kernel)).map(move |seed| (case, seed))) {
            let faults = faults(case, seed + index as u64, &|source| source);
            found.extend(faults.into_iter().map(|fault| format!("{case:?}, schedule {seed}: {fault}")));
            run += 1;
        }
    }
    println!("{run} runs of {} kernels", kernels.len());
    assert!(run > 20 || only.is_some(), "{run} runs");
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

/// Kernels without one of their barriers, and with a single buffer where there must be two.
const PLANTED: [(&str, &str, &str, &str); 4] = [
    (
        "matmul_tile",
        "    stage_inputs(phase, thread);\n    workgroupBarrier();",
        "    stage_inputs(phase, thread);",
        "a race on x_tile",
    ),
    ("rms_norm", "    workgroupBarrier();\n    if thread < half", "    if thread < half", "a race on partial"),
    ("delta_scan", "let here = (t % 2u) * PARTS;", "let here = 0u;", "a race on qk"),
    ("gated_head_norm", "  storageBarrier();", "", "a race on x"),
];

#[test]
fn planted_races_are_found() {
    for (file, from, to, fault) in PLANTED {
        let plain = |kernel: &&Kernel| kernel.shader().file() == file && kernel.needs() == Features::NONE;
        let kernels = all_kernels();
        let of_file = kernels.iter().filter(plain).flat_map(|kernel| cases::of(kernel).expect("cases"));
        let change = |source: String| source.replace(from, to);
        let mut found = of_file.map(|case| faults(&case, 1, &change));
        assert!(found.any(|faults| faults.contains(fault)), "{file}: {fault} was not found");
    }
}
