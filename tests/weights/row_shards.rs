//! Division of matrices into shards of rows.

use ocelli::layout::{Layout, MatrixShape};
use ocelli::package::upload::rows_of_shard;

const MIB: u64 = 1 << 20;

/// The head of Ministral 3 on a device that binds 128 MiB, in every layout.
#[test]
fn a_head_larger_than_a_binding_is_split_into_shards_that_fit() {
    let shape = MatrixShape { rows: 131_072, cols: 3072 };
    for layout in Layout::ALL {
        let step = rows_of_shard(layout, shape, 128 * MIB).expect("shards");
        assert!(step.is_multiple_of(64) && step <= shape.rows, "{layout}: {step}");
        let shard = layout.matrix_planes(MatrixShape { rows: step, ..shape }).expect("planes");
        assert!(shard.iter().all(|plane| plane.bytes <= 128 * MIB), "{layout}: {shard:?}");
        let whole = layout.matrix_planes(shape).expect("planes").iter().map(|plane| plane.bytes).max();
        let fewest = whole.unwrap_or_default().div_ceil(128 * MIB) as usize;
        // One more if whole groups of rows do not fill a binding.
        assert!(shape.rows.div_ceil(step) <= fewest + 1, "{layout}: {step} rows a shard");
    }
}

#[test]
fn shards_are_whole_groups_even_where_tiles_do_not_fit() {
    let shape = MatrixShape { rows: 30, cols: 64 };
    // Four rows take 1024 bytes.
    assert_eq!(rows_of_shard(Layout::F32, shape, 1023), None);
    assert_eq!(rows_of_shard(Layout::F32, shape, 1024), Some(4));
    assert_eq!(rows_of_shard(Layout::F32, shape, 4096), Some(16), "two even shards");
    assert_eq!(rows_of_shard(Layout::F32, shape, u64::MAX), Some(64), "one shard");
}
