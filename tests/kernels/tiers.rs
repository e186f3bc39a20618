//! What a device can do beyond what every device can, and the rows that this adds to the table.

use ocelli::gpu::{DeviceClass, Features, Gpu, KernelConfig};
use ocelli::kernels::{TuningGroup, attention, attention_step, gemv, matmul};

/// All that there is.
pub(crate) const ALL: Features = Features { f16: true, subgroups: true, dot: true };

/// The devices that the tests are run on, and what they have: a tier that one of them lost would be tested nowhere.
const KNOWN: [(&str, Features); 2] = [
    ("llvmpipe", Features { f16: true, subgroups: true, dot: true }),
    ("swiftshader", Features { f16: false, subgroups: true, dot: true }),
];

/// The features of a device, whose tiers are run.
///
/// # Panics
/// If it lacks what it is known to have.
pub(crate) fn features(gpu: &Gpu) -> Features {
    let (found, name) = (gpu.features(), gpu.report().name.to_lowercase());
    for (known, features) in KNOWN {
        let lost = features.without(found);
        assert!(!name.contains(known) || lost == Features::NONE, "{name} does without {}", lost.name());
    }
    found
}

/// Ways to each tuning in a family's table that uses optional features.
pub(crate) fn tiers(family: TuningGroup) -> Vec<KernelConfig> {
    let uses = match family {
        TuningGroup::Gemv => gemv::Tuning::ALL.map(|tuning| tuning.uses).to_vec(),
        TuningGroup::AttentionStep => attention_step::Tuning::ALL.map(|tuning| tuning.uses).to_vec(),
        TuningGroup::Matmul => matmul::Tuning::ALL.map(|tuning| tuning.uses).to_vec(),
        TuningGroup::Attention => attention::Tuning::ALL.map(|tuning| tuning.uses).to_vec(),
    };
    let places = uses.into_iter().enumerate().filter(|(_, uses)| *uses != Features::NONE);
    let kernel_config = |(place, features): (usize, Features)| {
        let mut kernel_config = KernelConfig { features, ..KernelConfig::of(DeviceClass::Hardware) };
        kernel_config.variants[family as usize] = place as u8 + 1;
        kernel_config
    };
    places.map(kernel_config).collect()
}
