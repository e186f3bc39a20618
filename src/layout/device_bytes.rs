//! Bytes of planes that the GPU stores in another form than a package.

use std::borrow::Cow;

use half::f16;

use super::PlaneKind;

/// Inverse of the unit of the scales of super-blocks on the GPU. In files most of these scales are subnormal 16-bit floats, which WGSL allows a
/// driver to take for zero; a thousand times larger none is, and every one is exact.
const SUPER_UNITS: f32 = 1024.0;

/// The bytes of whole 16-bit numbers or words of a plane as the GPU stores them. `None` for a scale that is too large for it, 64 and more.
pub fn device_bytes(kind: PlaneKind, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if kind != PlaneKind::SuperScales {
        return Some(Cow::Borrowed(bytes));
    }
    let enlarge = |&scale: &[u8; 2]| {
        let enlarged = f16::from_f32(f16::from_le_bytes(scale).to_f32() * SUPER_UNITS);
        (!enlarged.is_infinite()).then(|| enlarged.to_le_bytes())
    };
    let scales = bytes.as_chunks::<2>().0.iter().map(enlarge).collect::<Option<Vec<_>>>()?;
    Some(Cow::Owned(scales.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_of_super_blocks_are_exact_and_normal_on_the_device() {
        for bits in 0..=u16::MAX {
            let scale = f16::from_bits(bits);
            let stored = device_bytes(PlaneKind::SuperScales, &scale.to_le_bytes()).map(|bytes| [bytes[0], bytes[1]]);
            let Some(stored) = stored.map(f16::from_le_bytes) else {
                assert!(scale.to_f32().abs() > 63.9, "{scale} can be stored");
                continue;
            };
            assert!(stored == f16::ZERO || stored.is_normal() || scale.is_nan(), "{scale} is stored as {stored}");
            assert!(stored.to_f32() / SUPER_UNITS == scale.to_f32() || scale.is_nan(), "{scale} is stored as {stored}");
        }
    }

    #[test]
    fn other_planes_are_stored_as_they_are() {
        assert_eq!(device_bytes(PlaneKind::Scales, &[1, 0, 255]), Some(Cow::Borrowed(&[1, 0, 255][..])));
    }
}
