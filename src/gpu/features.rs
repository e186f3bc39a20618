//! What a device can do beyond what every device can.

use serde::{Deserialize, Serialize};

/// Threads of a workgroup for which a device must be asked: twice as many as every device has.
pub const LARGE_THREADS: u32 = 512;
/// Workgroup memory for which it must be asked: twice as much.
pub const LARGE_BYTES: u32 = 32 << 10;

bitflags::bitflags! {
    /// Optional abilities of a device, or what a kernel asks of it. JSON has a boolean for each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(from = "Named", into = "Named")]
    pub struct Features: u8 {
        /// 16-bit floats in shaders.
        const F16 = 1;
        /// Sums across the lanes of a subgroup of any size, and the subgroup's number.
        const SUBGROUPS = 2;
        /// Products of four packed 8-bit integers that the device makes in one instruction.
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
    /// Not known to what was remembered, or is told by pages, without it.
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
    /// None: what every device can do.
    pub const NONE: Self = Self::empty();

    /// Their names, `baseline` for none.
    pub fn name(self) -> String {
        let names: Vec<_> = self.iter_names().map(|(name, _)| name.to_lowercase()).collect();
        if names.is_empty() { "baseline".into() } else { names.join("+") }
    }

    /// The directives that WGSL begins with to use them, for a browser or for naga, which has subgroups without being asked and
    /// refuses to be.
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
