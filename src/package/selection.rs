//! Which tensors of a package belong together, by the roles that its family gives them.

use std::collections::HashMap;

use super::manifest::{Manifest, TensorEntry};
use super::upload::Selection;
use crate::families::{Role, TensorSpec, definition};
use crate::gpu::Purpose;

impl Selection {
    /// The decoder.
    pub fn text(manifest: &Manifest) -> Self {
        let tensors = definition(&manifest.config).tensors().filter(|spec| spec.role.is_text());
        Self { tensors: tensors.collect(), purpose: Purpose::TextWeights }
    }

    /// Each stage of the picture side ([`Role::Vision`]); none for a model that reads no pictures.
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

/// The tensors of a package, each with what its family says about it.
pub fn tensors_with_specs(manifest: &Manifest) -> impl Iterator<Item = (TensorSpec, &TensorEntry)> {
    let entries: HashMap<&str, &TensorEntry> =
        manifest.tensors.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    definition(&manifest.config).tensors().filter_map(move |spec| {
        let entry = *entries.get(spec.name.as_str())?;
        Some((spec, entry))
    })
}
