//! What a device can do beyond what every device can.

use ocelli::gpu::{Features, Gpu};

/// All that there is.
pub(crate) const ALL: Features = Features::all();

/// The devices that the tests are run on, and what they have: a tier that one of them lost would be tested nowhere.
const KNOWN: [(&str, Features); 2] =
    [("llvmpipe", Features::all()), ("swiftshader", Features::SUBGROUPS.union(Features::DOT))];

/// The features of a device, whose tiers are run.
///
/// # Panics
/// If it lacks what it is known to have.
pub(crate) fn features(gpu: &Gpu) -> Features {
    let (found, name) = (gpu.features(), gpu.report().name.to_lowercase());
    for (known, features) in KNOWN {
        let lost = features - found;
        assert!(!name.contains(known) || lost == Features::NONE, "{name} does without {}", lost.name());
    }
    found
}
