//! Single numbers that whole tensors are multiplied by: the scales of 8-bit floats, as the released Instruct checkpoints of Ministral 3
//! hold their projections, and gates.

use std::collections::HashMap;

use safetensors::Dtype;

use crate::error::{Error, Result};
use crate::families::TensorSpec;
use crate::import::tensors::{ElementType, TensorFiles, TensorRef, plain_numbers};
use crate::package::source::ByteSource;

/// The farthest that two scales lie apart and are still read at once: over a network, asking costs more than some kilobytes.
const GAP: u64 = 64 << 10;
/// The most that is read at once for the sake of scales.
const MOST: u64 = 4 << 20;

/// Reads the scales that belong to `tensors` of 8-bit floats, by the tensors' names. They are called `weight_scale_inv`, yet they
/// multiply (`transformers` and vLLM alike). The scale of activations beside each is for 8-bit arithmetic, which is not done here.
pub(super) async fn read_scales<'a, 'b, S: ByteSource + 'a>(
    checkpoint: &'a TensorFiles<S>,
    tensors: impl Iterator<Item = &'b TensorRef<'a, S>>,
) -> Result<HashMap<&'a str, f32>>
where
    'a: 'b,
{
    let mut scales = Vec::new();
    for tensor in tensors.filter(|tensor| tensor.info.kind == ElementType::Plain(Dtype::F8_E4M3)) {
        let (dtype, scale) = find_scale(checkpoint, tensor)?;
        scales.push((scale, dtype, tensor.name));
    }
    read_numbers(scales).await
}

/// Reads the gates of tensors, by the likeliest of their names.
pub(super) async fn read_gates<'b, S: ByteSource>(
    checkpoint: &TensorFiles<S>,
    listed_in: &str,
    specs: impl Iterator<Item = &'b TensorSpec>,
) -> Result<HashMap<&'b String, f32>> {
    let mut gates = Vec::new();
    for gate in specs.filter_map(|spec| spec.gate.as_ref()) {
        let Some(name) = gate.hf.first() else { continue };
        let found = gate.hf.iter().find_map(|name| checkpoint.tensor(name));
        let tensor = found.ok_or_else(|| Error::checkpoint(listed_in, name, "is missing"))?;
        gates.push((one_float(&tensor)?, name, tensor));
    }
    read_numbers(gates.into_iter().map(|(dtype, name, tensor)| (tensor, dtype, name)).collect()).await
}

/// Reads tensors of one number each.
async fn read_numbers<'a, S: ByteSource, K: Copy + Eq + std::hash::Hash>(
    mut scales: Vec<(TensorRef<'a, S>, Dtype, K)>,
) -> Result<HashMap<K, f32>> {
    scales.sort_by_key(|(scale, ..)| scale.place());
    let mut values = HashMap::new();
    let mut rest = scales.as_slice();
    while let Some((first, ..)) = rest.first() {
        let (file, start) = first.place();
        let mut end = start;
        let is_near = |(scale, ..): &&(TensorRef<'_, S>, Dtype, K)| {
            let range = &scale.info.range;
            // Some are asked for more than once.
            let near = scale.place().0 == file && range.start.saturating_sub(end) <= GAP && range.end - start <= MOST;
            end = if near { range.end } else { end };
            near
        };
        let (now, later) = rest.split_at(rest.iter().take_while(is_near).count().max(1));
        let bytes = first.read_bytes(0..end - start).await?;
        for (scale, dtype, tensor) in now {
            let at = (scale.info.range.start - start) as usize;
            let value = plain_numbers(*dtype, &bytes[at..at + scale.bytes() as usize]).first().copied();
            let value = value.filter(|value| value.is_finite());
            values.insert(*tensor, value.ok_or_else(|| scale.error("is not a finite number"))?);
        }
        rest = later;
    }
    Ok(values)
}

fn find_scale<'a, S: ByteSource>(
    checkpoint: &'a TensorFiles<S>,
    tensor: &TensorRef<'_, S>,
) -> Result<(Dtype, TensorRef<'a, S>)> {
    let name = format!("{}_scale_inv", tensor.name);
    let Some(scale) = checkpoint.tensor(&name) else {
        return Err(tensor.error(format!("is stored as F8_E4M3, but its scale {name} is missing")));
    };
    Ok((one_float(&scale)?, scale))
}

/// The format of a tensor that must be one float.
fn one_float<S: ByteSource>(scale: &TensorRef<'_, S>) -> Result<Dtype> {
    match (scale.info.kind, &scale.info.shape) {
        (ElementType::Plain(dtype @ (Dtype::F32 | Dtype::F16 | Dtype::BF16)), shape)
            if shape.iter().all(|&n| n == 1) =>
        {
            Ok(dtype)
        }
        (kind, shape) => Err(scale.error(format!("is {kind} of shape {shape:?}; only one float can scale a tensor"))),
    }
}
