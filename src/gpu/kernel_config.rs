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

    /// Returns true if threads of such a device have few registers, judged by its name and the fewest and most lanes of its subgroups: Intel's share
    /// 4 KiB among 8, 16 or 32 lanes and Arm's have 64; others have at least 128. Browsers that hide the sizes report 4 and 128, or none.
    pub fn has_few_registers(self, name: &str, [fewest, most]: [u32; 2]) -> bool {
        let name = name.to_lowercase();
        let mut words = name.split(|character: char| !character.is_ascii_alphanumeric());
        let is_small = (1..32).contains(&fewest) && most <= 32 || words.any(|word| FEW_REGISTERS.contains(&word));
        self == Self::Hardware && is_small
    }
}

/// Words in the names of GPUs whose threads have few registers: of Intel, Arm, Imagination and Broadcom.
const FEW_REGISTERS: [&str; 8] = ["intel", "arm", "mali", "immortalis", "img", "powervr", "broadcom", "videocore"];

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
