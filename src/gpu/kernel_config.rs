//! How work is best divided and computed on a device. Kernels make of it what they need.

use super::features::Features;

/// What a device is, as far as it decides how work is best divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A GPU.
    #[default]
    Hardware,
    /// A processor that does a GPU's work.
    Software,
    /// A processor whose compiler takes seconds over what others compile in tenths of one: Mesa's llvmpipe.
    SlowCompiler,
}

impl DeviceClass {
    /// Whether lanes share rows of weights in products of few rows: on processors each lane has some of its own.
    pub fn lanes_share_rows(self) -> bool {
        self == Self::Hardware
    }

    /// Whether threads of such a device have few registers, by the fewest and most lanes of its subgroups. Intel's share 4 KiB among 8, 16 or 32
    /// lanes, Arm's have 64 registers, and both have subgroups of less than 32 lanes; others have 128 and more. Browsers that do not tell say 4 and 128.
    pub fn has_few_registers(self, [fewest, most]: [u32; 2]) -> bool {
        self == Self::Hardware && (1..32).contains(&fewest) && most <= 32
    }
}

/// Families of kernels that are tuned apart from one another.
pub const TUNING_GROUPS: usize = 4;

/// How kernels are to be computed on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
pub struct KernelConfig {
    /// What the device is.
    pub class: DeviceClass,
    /// Whether it is a GPU whose threads have few registers: [`DeviceClass::has_few_registers`].
    #[serde(rename = "fewRegisters")]
    pub few_registers: bool,
    /// Optional features that may be used: those the device has, whose kernels compute rightly.
    pub features: Features,
    /// For each family 0 for what suits the class, or one more than an index into the family's table: what was found quicker.
    pub variants: [u8; TUNING_GROUPS],
}

impl KernelConfig {
    /// What suits a class of devices, without optional features.
    pub const fn of(class: DeviceClass) -> Self {
        Self { class, few_registers: false, features: Features::NONE, variants: [0; TUNING_GROUPS] }
    }

    /// The entry of a family's table that was picked, if this device may use it. `uses` tells what an entry asks for.
    pub fn pick<T: Copy>(&self, family: usize, table: &[T], uses: impl Fn(&T) -> Features) -> Option<T> {
        let variant = usize::from(*self.variants.get(family)?).checked_sub(1)?;
        table.get(variant).filter(|entry| self.features.contains(uses(entry))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_subgroups_tell_which_gpus_have_few_registers() {
        // Iris Xe, Mali, then Apple, NVIDIA, AMD, Adreno, and browsers that do not tell.
        let few = |sizes| DeviceClass::Hardware.has_few_registers(sizes);
        assert_eq!([[8, 32], [16, 16]].map(few), [true; 2]);
        assert_eq!([[4, 64], [32, 32], [32, 64], [64, 128], [4, 128], [0, 0]].map(few), [false; 6]);
        assert!(!DeviceClass::SlowCompiler.has_few_registers([8, 8]));
    }
}
