//! What a device can do beyond what every device can.

use serde::Serialize;

/// Optional abilities of a device, or what a kernel asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, serde::Deserialize)]
pub struct Features {
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Sums across the lanes of a subgroup of any size, and the subgroup's number.
    pub subgroups: bool,
    /// Products of four packed 8-bit integers that the device makes in one instruction.
    pub dot: bool,
}

impl Features {
    /// None: what every device can do.
    pub const NONE: Self = Self { f16: false, subgroups: false, dot: false };
    /// 16-bit floats alone.
    pub const F16: Self = Self { f16: true, ..Self::NONE };
    /// Subgroups alone.
    pub const SUBGROUPS: Self = Self { subgroups: true, ..Self::NONE };
    /// Packed products alone.
    pub const DOT: Self = Self { dot: true, ..Self::NONE };

    /// Whether all of `others` are among these.
    pub fn contains(self, others: Self) -> bool {
        self.and(others) == others
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { f16: self.f16 && other.f16, subgroups: self.subgroups && other.subgroups, dot: self.dot && other.dot }
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { f16: self.f16 || other.f16, subgroups: self.subgroups || other.subgroups, dot: self.dot || other.dot }
    }

    /// These, but for `others`.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self {
            f16: self.f16 && !others.f16,
            subgroups: self.subgroups && !others.subgroups,
            dot: self.dot && !others.dot,
        }
    }

    /// Their names, `baseline` for none.
    pub fn name(self) -> String {
        let names = [(self.f16, "f16"), (self.subgroups, "subgroups"), (self.dot, "dot")];
        let names: Vec<_> = names.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
        if names.is_empty() { "baseline".into() } else { names.join("+") }
    }

    /// The directives that WGSL begins with to use them, for a browser or for naga, which has subgroups without being asked and
    /// refuses to be.
    pub fn directives(self, is_browser: bool) -> String {
        let lines = [
            (self.f16, "enable f16;\n"),
            (
                self.subgroups && is_browser,
                "enable subgroups;\nrequires subgroup_id;\ndiagnostic(off, subgroup_uniformity);\n",
            ),
            (self.dot, "requires packed_4x8_integer_dot_product;\n"),
        ];
        lines.into_iter().filter(|(has, _)| *has).map(|(_, line)| line).collect()
    }
}
