//! What threads make together of a number each has: across the lanes of a subgroup, whose size is never assumed, or across lanes
//! that meet in workgroup memory as those of a subgroup of some size would, so that every size is tested on any device.

use std::borrow::Cow;

use super::unroll::unrolled;
use crate::gpu::Features;

/// The WGSL of lanes; none where a kernel has its threads meet in workgroup memory without speaking of lanes. What is emulated
/// needs the constant `THREADS`.
pub(super) fn snippet(uses: Features, emulated: usize) -> Option<Cow<'static, str>> {
    match emulated {
        0 if uses.subgroups => Some(include_str!("../../../shaders/shared/lanes_subgroup.wgsl").into()),
        0 => None,
        _ => {
            let text = include_str!("../../../shaders/shared/lanes_emulated.wgsl");
            Some(unrolled(text, &[("EMULATED", emulated)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emulated_needs_no_feature() {
        let has = |uses, emulated, word: &str| snippet(uses, emulated).is_some_and(|text| text.contains(word));
        assert!(has(Features::SUBGROUPS, 0, "subgroupAdd(") && !has(Features::SUBGROUPS, 0, "workgroupBarrier("));
        for uses in [Features::NONE, Features::SUBGROUPS] {
            assert!(has(uses, 16, "EMULATED: u32 = 16u;") && !has(uses, 16, "subgroupAdd("));
        }
        assert_eq!(snippet(Features::DOT, 0), None);
    }
}
