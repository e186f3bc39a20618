//! Optional device features.

use serde::{Deserialize, Serialize};

/// Threads of a large workgroup, twice the number that every device supports.
pub const LARGE_THREADS: u32 = 512;
/// Memory of a large workgroup, twice the size that every device supports.
pub const LARGE_BYTES: u32 = 32 << 10;

bitflags::bitflags! {
    /// Optional features that a device has or a kernel needs. Serialized as one boolean each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(from = "Named", into = "Named")]
    pub struct Features: u8 {
        /// 16-bit floats in shaders.
        const F16 = 1;
        /// Sums across a subgroup of any size, and the subgroup's number.
        const SUBGROUPS = 2;
        /// Dot products of four packed 8-bit integers in one instruction.
        const DOT = 4;
        /// Workgroups of [`LARGE_THREADS`] threads, with [`LARGE_BYTES`] of memory.
        const LARGE_WORKGROUPS = 8;
    }
}

#[derive(Serialize, Deserialize)]
struct Named {
    f16: bool,
    subgroups: bool,
    dot: bool,
    /// Absent in saved tunings and page options from older versions.
    #[serde(default, rename = "largeWorkgroups")]
    large_workgroups: bool,
}

impl From<Named> for Features {
    fn from(Named { f16, subgroups, dot, large_workgroups }: Named) -> Self {
        let flags = [
            (f16, Self::F16),
            (subgroups, Self::SUBGROUPS),
            (dot, Self::DOT),
            (large_workgroups, Self::LARGE_WORKGROUPS),
        ];
        flags.into_iter().filter(|(has, _)| *has).map(|(_, flag)| flag).collect()
    }
}

impl From<Features> for Named {
    fn from(features: Features) -> Self {
        let has = |flag| features.contains(flag);
        Self {
            f16: has(Features::F16),
            subgroups: has(Features::SUBGROUPS),
            dot: has(Features::DOT),
            large_workgroups: has(Features::LARGE_WORKGROUPS),
        }
    }
}

impl Features {
    /// No features: supported by every device.
    pub const NONE: Self = Self::empty();

    /// The names of the features, or `baseline`.
    pub fn name(self) -> String {
        let names: Vec<_> = self.iter_names().map(|(name, _)| name.to_lowercase()).collect();
        if names.is_empty() { "baseline".into() } else { names.join("+") }
    }

    /// The WGSL directives that enable these features. They differ between browsers and naga, which enables
    /// subgroups by default and rejects the directive.
    pub fn directives(self, is_browser: bool) -> String {
        let lines = [
            (self.contains(Self::F16), "enable f16;\n"),
            (
                self.contains(Self::SUBGROUPS) && is_browser,
                "enable subgroups;\nrequires subgroup_id;\ndiagnostic(off, subgroup_uniformity);\n",
            ),
            (self.contains(Self::DOT), "requires packed_4x8_integer_dot_product;\n"),
        ];
        lines.into_iter().filter(|(has, _)| *has).map(|(_, line)| line).collect()
    }
}
