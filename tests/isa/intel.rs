//! Mesa's driver for Intel's GPUs without a GPU: a library replaces the kernel driver (`no_i915.rs`), and ANV compiles for an Iris Xe. Its
//! threads have 128 registers of 32 bytes: 64 numbers a lane with 16 lanes a thread, 128 with eight.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use ash::vk;

use crate::driver::{Accesses, Driver};
use crate::rows::{Row, rows_for_few_registers};
use crate::{KNOWN, in_process_with};

/// The variable that makes Mesa send nothing to a device.
const WITHOUT_DEVICE: &str = "INTEL_NO_HW";
const HEAD: &str = "kernel                               lanes instr. sends spills fills";

/// Compiles the library.
fn stand_in() -> [(&'static str, OsString); 2] {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libno_i915.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/isa/no_i915.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(rustc);
    compile.args(["--edition=2024", "--crate-type=cdylib", "-Dwarnings", source, "-o"]).arg(&library);
    assert!(compile.status().expect("rustc").success(), "{source} does not compile");
    [("LD_PRELOAD", library.into()), (WITHOUT_DEVICE, "1".into())]
}

fn line(driver: &Driver, row: &Row) -> String {
    let compiled = driver.compile(&row.kernel, Accesses::Robust);
    let count = |name: &str| compiled.counts[name];
    let mut line = format!("{:<36} {:>5}", row.name(), compiled.lanes);
    for (name, width) in [("Instruction Count", 6), ("SEND Count", 5), ("Spill Count", 6), ("Fill Count", 5)] {
        write!(line, " {:>width$}", count(name)).expect("a line");
    }
    let spills = count("Spill Count");
    assert!(!row.is_for_few_registers() || spills == 0, "{} spills {spills} registers", row.name());
    line + "\n"
}

#[test]
fn kernels_for_few_registers_do_not_spill_on_iris_xe() {
    let test = "intel::kernels_for_few_registers_do_not_spill_on_iris_xe";
    if in_process_with(WITHOUT_DEVICE, stand_in, test) {
        let driver = Driver::open(vk::DriverId::INTEL_OPEN_SOURCE_MESA);
        let mut table = format!("{}\n\n{HEAD}\n", driver.name);
        rows_for_few_registers().iter().for_each(|row| table += &line(&driver, row));
        println!("{table}");
        if driver.name.contains(KNOWN) {
            insta::assert_snapshot!("iris_xe", table);
        }
    }
}
