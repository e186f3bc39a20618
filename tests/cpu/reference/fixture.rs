//! Tensors of the fixture checkpoints, as `f32`.

use std::path::Path;

use half::bf16;
use safetensors::{Dtype, SafeTensors};

/// The weights of a checkpoint, or what `transformers` computed with them.
pub(crate) struct Tensors(Vec<u8>);

impl Tensors {
    /// Reads `tests/fixtures/checkpoints/<path>`.
    pub(crate) fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(path);
        Self(std::fs::read(path).expect("a fixture"))
    }

    /// The numbers of a tensor.
    pub(crate) fn get(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("no tensor {name}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
            Dtype::BF16 => data.as_chunks().0.iter().map(|&x| bf16::from_le_bytes(x).to_f32()).collect(),
            Dtype::I64 => data.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x) as f32).collect(),
            Dtype::U8 => data.iter().map(|&x| f32::from(x)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Several tensors one after the other: rows of several matrices as one.
    pub(crate) fn stacked(&self, names: &[String]) -> Vec<f32> {
        names.iter().flat_map(|name| self.get(name)).collect()
    }
}

/// Fails if a number differs by more than rounding explains, relative to the largest.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    // transformers sums in f32: 1e-5 is a hundred roundings.
    const TOLERANCE: f32 = 1e-5;
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    for (index, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= TOLERANCE * largest, "{what}[{index}]: {f} is not {w} (largest {largest})");
    }
}

/// `x * w^T`. `x`: `// [m, k]`; `w`: `// [n, k]`.
pub(crate) fn linear(x: &[f32], k: usize, w: &[f32]) -> Vec<f32> {
    use ocelli::reference::matmul;
    let (m, n) = (x.len() / k, w.len() / k);
    let mut y = vec![f32::NAN; m * n];
    let shape = matmul::Shape { m, n, k, y_stride: n, y_offset: 0, accumulate: false };
    matmul::compute(shape, x, w, None, &mut y);
    y
}

/// `residual += x * w^T`.
pub(crate) fn add_linear(x: &[f32], k: usize, w: &[f32], residual: &mut [f32]) {
    use ocelli::reference::matmul;
    let (m, n) = (x.len() / k, w.len() / k);
    let shape = matmul::Shape { m, n, k, y_stride: n, y_offset: 0, accumulate: true };
    matmul::compute(shape, x, w, None, residual);
}

/// The norm of rows.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32]) -> Vec<f32> {
    // Every fixture used here has this epsilon, in the decoder and in the tower.
    const EPS: f32 = 1e-5;
    let mut y = vec![f32::NAN; x.len()];
    ocelli::reference::rms_norm::compute(EPS, x, weight, &mut y);
    y
}
