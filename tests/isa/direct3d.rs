//! The kernels under Microsoft's DXC, which compiles naga's HLSL for Direct3D 12.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dxc::{Dxc, hlsl};
use crate::rows::{Row, usual_rows};

/// Calls `check` for every row, on all processors.
fn for_each_row<T: Send>(rows: &[Row], check: impl Fn(&Row) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let own = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            rows.get(index).map(|row| (index, check(row)))
        });
        own.collect::<Vec<_>>()
    };
    let mut all = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, found)| found).collect()
}

/// Golden is a line for each kernel that DXC refuses, or in whose code it leaves arrays of a thread in memory.
#[test]
fn dxc_accepts_no_fewer_kernels_than_known_and_leaves_no_more_arrays_in_memory() {
    let rows = usual_rows();
    let line = |row: &Row| {
        let line = match Dxc::open().compile(&hlsl(&row.kernel)) {
            Err(error) => format!("refused: {error}"),
            Ok(code) => match code.matches("= alloca ").count() {
                0 => return String::new(),
                arrays => format!("arrays in memory: {arrays}"),
            },
        };
        format!("{:<36} {line}\n", row.name())
    };
    let mut table = String::new();
    write!(table, "{} kernels, without arrays in memory but for:\n\n", rows.len()).expect("a line");
    table.extend(for_each_row(&rows, line));
    insta::assert_snapshot!("dxc", table);
}
