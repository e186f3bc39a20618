//! The properties of a device that kernels are tuned for.

use super::features::Features;

/// Kind of device, which tunings depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A GPU.
    #[default]
    Hardware,
    /// A GPU emulated on a CPU.
    Software,
    /// A software device whose compiler takes seconds instead of tenths of a second: Mesa's llvmpipe.
    SlowCompiler,
    /// A processor that carries launches out itself. Tunings mean nothing to it.
    Processor,
}

impl DeviceClass {
    /// Returns true if lanes share rows of weights in products of few rows. On a CPU each lane computes its own
    /// rows.
    pub fn lanes_share_rows(self) -> bool {
        self == Self::Hardware
    }

    /// Returns true if threads of such a device have few registers, judged by the fewest and most lanes of its
    /// subgroups. Intel's GPUs share 4 KiB among 8, 16 or 32 lanes and Arm's have 64 registers; both have subgroups
    /// of less than 32 lanes. Others have at least 128 registers. Browsers that hide the sizes report 4 and 128.
    pub fn has_few_registers(self, [fewest, most]: [u32; 2]) -> bool {
        self == Self::Hardware && (1..32).contains(&fewest) && most <= 32
    }
}

/// Number of kernel families that are tuned separately.
pub const TUNING_GROUPS: usize = 4;

/// Configuration of kernels for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
pub struct KernelConfig {
    /// The device's class.
    pub class: DeviceClass,
    /// True for a GPU whose threads have few registers: [`DeviceClass::has_few_registers`].
    #[serde(rename = "fewRegisters")]
    pub few_registers: bool,
    /// Optional features that kernels may use: those of the device whose kernels passed their self-test.
    pub features: Features,
    /// For each family 0 for the default of the class, or 1 + an index into the family's table if tuning found a
    /// faster entry.
    pub variants: [u8; TUNING_GROUPS],
}

impl KernelConfig {
    /// The defaults of a device class, without optional features.
    pub const fn of(class: DeviceClass) -> Self {
        Self { class, few_registers: false, features: Features::NONE, variants: [0; TUNING_GROUPS] }
    }

    /// The selected entry of a family's table, if the device has the features that it `uses`.
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
        // Iris Xe, Mali; then Apple, NVIDIA, AMD, Adreno, and browsers that hide the sizes.
        let few = |sizes| DeviceClass::Hardware.has_few_registers(sizes);
        assert_eq!([[8, 32], [16, 16]].map(few), [true; 2]);
        assert_eq!([[4, 64], [32, 32], [32, 64], [64, 128], [4, 128], [0, 0]].map(few), [false; 6]);
        assert!(!DeviceClass::SlowCompiler.has_few_registers([8, 8]));
    }
}
