//! Optional features of the test devices.

use ocelli::gpu::{Features, Gpu};

/// All features.
pub(crate) const ALL: Features = Features::all();

/// The devices that run the tests, and their features: a tier that one of them lost would not be tested any more.
const KNOWN: [(&str, Features); 2] =
    [("llvmpipe", Features::all()), ("swiftshader", Features::SUBGROUPS.union(Features::DOT))];

/// The features of a device.
///
/// # Panics
/// If it lacks features that it is known to have.
pub(crate) fn features(gpu: &Gpu) -> Features {
    let (found, name) = (gpu.features(), gpu.report().name.to_lowercase());
    for (known, features) in KNOWN {
        let lost = features - found;
        assert!(!name.contains(known) || lost == Features::NONE, "{name} does without {}", lost.name());
    }
    found
}
