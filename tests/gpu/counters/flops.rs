//! Multiply-adds of a launch, from the sizes in its note. Norms, rotations and exponentials are negligible.

use ocelli::gpu::Dispatch;
use ocelli::layout::Layout;

/// Arithmetic and weights of a launch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Arithmetic {
    /// Multiply-adds, counted as two.
    pub(crate) flops: u64,
    /// Weights of the product.
    pub(crate) weights: u64,
    /// Their bytes, scales included.
    pub(crate) weight_bytes: u64,
}

/// The numbers after `key=` in a launch's note: one, or two as in `heads=32/8` and `heads=32+8`.
fn numbers(note: &str, key: &str) -> [u64; 2] {
    let value = note.split(' ').find_map(|item| item.strip_prefix(key)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("no {key} in {note:?}"));
    let mut numbers = value.split(['/', '+']).map(|number| number.parse().expect("a number"));
    [numbers.next().expect("a number"), numbers.next().unwrap_or(0)]
}

/// Arithmetic of a launch. `seen` is the number of tokens that a step's attention reads, which only the GPU knows.
pub(crate) fn of(dispatch: &Dispatch, seen: u64) -> Arithmetic {
    let (name, note) = (dispatch.kernel.name(), &*dispatch.note);
    let (family, details) = name.split_once('<').unwrap_or((name, ""));
    let detail = details.split([',', '>']).next().unwrap_or_default();
    let one = |key| numbers(note, key)[0];
    match family {
        "matvec" | "matmul" => product(dispatch, detail, one("m"), one("n") * one("k")),
        // The note has the number of outputs, each of which takes a row of the gate and one of up.
        "gated_matvec" => product(dispatch, detail, one("m"), 2 * one("n") * one("k")),
        "qkv_matvec" => {
            let [q, kv] = numbers(note, "heads");
            product(dispatch, detail, one("m"), (q + 2 * kv) * one("dim") * one("k"))
        }
        "attention_step" => attention(detail, one("heads"), one("m") * seen),
        "attention" => {
            let (rows, keys) = (one("q"), one("kv"));
            // The fifth parameter marks causal attention.
            let is_causal = dispatch.params[16] == 1;
            let hidden = if is_causal { rows * (rows - 1) / 2 } else { 0 };
            attention(detail, one("heads"), rows * keys - hidden)
        }
        _ => Arithmetic::default(),
    }
}

/// Arithmetic of `rows` rows times a matrix, whose planes are bound last.
fn product(dispatch: &Dispatch, layout: &str, rows: u64, weights: u64) -> Arithmetic {
    let layout = Layout::ALL.into_iter().find(|known| known.to_string() == layout).expect("a layout");
    let planes = dispatch.buffers.iter().rev().take(layout.plane_units().len());
    Arithmetic { flops: 2 * rows * weights, weights, weight_bytes: planes.map(|plane| plane.bytes).sum() }
}

/// Arithmetic of scores and weighted values of `pairs` pairs of a query and a key, in every head.
fn attention(head_dim: &str, heads: u64, pairs: u64) -> Arithmetic {
    let head_dim: u64 = head_dim.parse().expect("a width");
    Arithmetic { flops: 4 * pairs * heads * head_dim, ..Arithmetic::default() }
}
