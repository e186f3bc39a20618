//! Groups of tensors that are loaded together, by their roles.

use std::collections::HashMap;

use super::manifest::{Manifest, TensorEntry};
use super::upload::Selection;
use crate::families::{Role, TensorSpec, definition};
use crate::gpu::Purpose;

impl Selection {
    /// The tensors of the decoder on the device.
    pub fn text(manifest: &Manifest) -> Self {
        let tensors =
            definition(&manifest.config).tensors().filter(|spec| spec.role.is_text() && spec.role != Role::Rows);
        Self { tensors: tensors.collect(), purpose: Purpose::TextWeights }
    }

    /// The tensors of each stage of the vision tower ([`Role::Vision`]); empty for a model without one.
    pub fn stages(manifest: &Manifest) -> Vec<Self> {
        let mut stages: Vec<Self> = Vec::new();
        for spec in definition(&manifest.config).tensors() {
            let Role::Vision(stage) = spec.role else { continue };
            while stages.len() <= stage {
                stages.push(Self { tensors: Vec::new(), purpose: Purpose::VisionWeights });
            }
            stages[stage].tensors.push(spec);
        }
        stages
    }
}

/// The tensors of a package, each with its family's specification.
pub fn tensors_with_specs(manifest: &Manifest) -> impl Iterator<Item = (TensorSpec, &TensorEntry)> {
    let entries: HashMap<&str, &TensorEntry> =
        manifest.tensors.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    definition(&manifest.config).tensors().filter_map(move |spec| {
        let entry = *entries.get(spec.name.as_str())?;
        Some((spec, entry))
    })
}
