//! Sums and maxima across threads: across the lanes of a subgroup, whose size is never assumed, or across emulated subgroups in workgroup
//! memory, so that every size can be tested on any device.

use crate::gpu::Features;
use crate::shader::Shader;

/// Returns true if a kernel uses subgroups, native or emulated.
pub(super) fn has_subgroups(uses: Features, emulated: usize) -> bool {
    uses.contains(Features::SUBGROUPS) || emulated > 0
}

/// Adds the file with subgroup operations to `shader`. Without subgroups, its threads exchange numbers through workgroup memory.
pub(super) fn with(shader: Shader, uses: Features, emulated: usize) -> Shader {
    match emulated {
        0 if uses.contains(Features::SUBGROUPS) => {
            shader.set("SUBGROUPS", 1).choose("SUBGROUP_FILE", "subgroup_native")
        }
        0 => shader.set("SUBGROUPS", 0),
        _ => shader.set("SUBGROUPS", 1).choose("SUBGROUP_FILE", "subgroup_emulated").set("EMULATED", emulated),
    }
}
