//! Code that real compilers generate for the kernels: instructions, registers, spills, for AMD's RDNA 2 and Intel's Iris Xe, without a GPU.
//! The golden tables are from one version of the driver, with which no number may grow; with another version there is some slack.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, reason = "tests panic on failure")]

#[cfg(target_arch = "x86_64")]
mod direct3d;
mod driver;
#[cfg(target_arch = "x86_64")]
mod dxc;
#[cfg(target_arch = "x86_64")]
mod intel;
mod loops;
mod rows;

use std::ffi::OsString;
use std::fmt::Write;
use std::process::Command;

use ash::vk;
use driver::{Accesses, Compiled, Driver};
use loops::{Loop, Program};
use ocelli::gpu::Features;
use rows::{Row, rows, usual_rows};

/// The variable that selects the chip for RADV.
const CHIP: &str = "RADV_FORCE_FAMILY";
/// The driver version of the golden tables.
const KNOWN: &str = "Mesa 22.3.6";
const HEAD: &str = "kernel                               VGPRs waves    LDS  instr.   code  instructions a multiply-add: all and vector ones of \
    each loop, then with what is around";
/// Slack for other versions, as a factor and in registers.
const SLACK: f64 = 1.05;
const SLACK_REGISTERS: f64 = 16.0;

/// Runs the named test again in a process of its own with these variables, one of which is `key`: a driver reads its environment once, and
/// a process with threads must not change it. Returns true in that process.
fn in_process_with<const N: usize>(
    key: &str,
    variables: impl FnOnce() -> [(&'static str, OsString); N],
    test: &str,
) -> bool {
    if std::env::var_os(key).is_some() {
        return true;
    }
    let itself = std::env::current_exe().expect("this program");
    let output = Command::new(itself)
        .args([test, "--exact", "--nocapture"])
        .envs(variables())
        // Other tests may have selected other drivers.
        .env_remove("VK_ICD_FILENAMES")
        .env_remove("VK_DRIVER_FILES")
        .output()
        .expect("a process");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{test} did not run:\n{said}");
    false
}

/// Returns true in a process in which RADV compiles for RDNA 2.
fn in_process_for_navi21(test: &str) -> bool {
    in_process_with(CHIP, || [(CHIP, "navi21".into())], test)
}

/// Instructions for each multiply-add: in each loop that multiplies, then in the whole program.
fn per_multiply_add(row: &Row, compiled: &Compiled) -> Vec<[f64; 2]> {
    let program = Program::parse(&compiled.assembly);
    let mut loops = program.multiplying();
    let name = row.name();
    assert!(loops.len() >= row.work.len(), "{name}: {} loops multiply, not {}", loops.len(), row.work.len());
    // Rounding of inputs multiplies too, but fewer integers, and so does an activation after a product.
    let by_dots = row.kernel.needs().contains(Features::DOT);
    let products = |found: &Loop| if by_dots { found.dots } else { found.products };
    loops.sort_by_key(|found| (found.activates, std::cmp::Reverse(products(found))));
    loops.truncate(row.work.len());
    loops.sort_by_key(|found| found.first);
    if row.work.is_empty() {
        return Vec::new();
    }
    let mut around = program.around(&loops);
    let (mut all, mut vector, mut products) = (0, 0, 0);
    let mut each = Vec::new();
    for (found, &(work, turns)) in loops.iter().zip(&row.work) {
        each.push([found.instructions as f64 / work as f64, found.vector as f64 / work as f64]);
        around -= found.instructions;
        all += found.instructions * turns;
        vector += found.vector * turns;
        products += work * turns;
    }
    each.push([(all + around) as f64 / products as f64, (vector as f64) / products as f64]);
    each
}

fn line(row: &Row, compiled: &Compiled) -> String {
    let count = |name: &str| compiled.counts[name];
    let mut line = format!(
        "{:<36} {:>5} {:>5} {:>6} {:>7} {:>6}",
        row.name(),
        count("VGPRs"),
        count("Subgroups per SIMD"),
        count("LDS size"),
        count("Instructions"),
        count("Code size"),
    );
    for [all, vector] in per_multiply_add(row, compiled) {
        write!(line, " {all:>6.2} {vector:>5.2}").expect("a line");
    }
    line
}

/// The table of a chip: a line for each kernel. No kernel may spill.
fn table(radv: &Driver, rows: &[Row], accesses: Accesses) -> String {
    let mut table = format!("{}\n\n{HEAD}\n", radv.name);
    for row in rows {
        let compiled = radv.compile(&row.kernel, accesses);
        for spilled in ["Spilled VGPRs", "Spilled SGPRs", "Scratch size"] {
            assert_eq!(compiled.counts[spilled], 0, "{spilled} of {} on {}", row.name(), radv.name);
        }
        table += &line(row, &compiled);
        table.push('\n');
    }
    table
}

/// The kernels of a table, a line each.
fn lines(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip_while(|line| !line.starts_with("kernel")).skip(1)
}

/// Entries of a table that exceed the golden one by more than the slack.
fn more_than(golden: &str, table: &str) -> Vec<String> {
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let numbers = |line: &str| -> Vec<f64> { line.split_whitespace().skip(1).flat_map(str::parse).collect() };
    let is_more = |line: &&str| {
        let Some(known) = lines(golden).find(|known| name(known) == name(line)) else { return true };
        let (found, known) = (numbers(line), numbers(known));
        let registers = found[0] > known[0] + SLACK_REGISTERS;
        // The second number is waves, of which more are better.
        registers
            || found.len() != known.len()
            || found.iter().zip(&known).skip(2).any(|(found, known)| *found > known * SLACK)
    };
    lines(table).filter(is_more).map(str::to_owned).collect()
}

/// Compiles for a chip, in the process of its driver.
fn check((golden_name, golden): (&str, &str), rows: &[Row], accesses: Accesses) {
    let radv = Driver::open(vk::DriverId::MESA_RADV);
    let table = table(&radv, rows, accesses);
    println!("{table}");
    if radv.name.contains(KNOWN) {
        insta::assert_snapshot!(golden_name, table);
    } else {
        println!("{} is not {KNOWN}: compared with slack", radv.name);
        assert_eq!(more_than(golden, &table), [""; 0], "more than {golden}");
    }
}

#[test]
fn rdna_2_gets_no_more_instructions_than_known_and_spills_nothing() {
    if in_process_for_navi21("rdna_2_gets_no_more_instructions_than_known_and_spills_nothing") {
        check(("navi21", include_str!("snapshots/isa__navi21.snap")), &rows(), Accesses::Robust);
    }
}

#[test]
fn rdna_2_spills_nothing_where_accesses_are_clamped() {
    if in_process_for_navi21("rdna_2_spills_nothing_where_accesses_are_clamped") {
        let golden = ("navi21_clamped", include_str!("snapshots/isa__navi21_clamped.snap"));
        check(golden, &usual_rows(), Accesses::Clamped);
    }
}

#[test]
fn with_another_driver_a_little_more_is_allowed_and_no_more() {
    let known = "matvec<f32,1> 48 20 1024 620 3064 2.26 1.62";
    let with = |line: &str| format!("{HEAD}\n{line}\n");
    let golden = with(known);
    assert_eq!(more_than(&golden, &golden), [""; 0]);
    for (from, to, refused) in [
        (" 620 ", " 640 ", false),
        (" 620 ", " 660 ", true),
        (" 48 ", " 80 ", true),
        ("2.26", "9.99", true),
        (" 20 ", " 4 ", false),
    ] {
        assert_eq!(more_than(&golden, &with(&known.replace(from, to))).len(), usize::from(refused), "{to}");
    }
    assert_eq!(more_than(&golden, &with("new_kernel 1 1 1 1 1")), ["new_kernel 1 1 1 1 1"]);
}
