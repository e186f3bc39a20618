//! Our tensor names in the checkpoint's spellings.

/// Prefixes of the decoder: on disk, as the classes nest since `transformers` 4.52, and text-only.
const DECODER: [&str; 3] = ["language_model.model.", "model.language_model.", "model."];
const HEAD: [&str; 2] = ["language_model.", ""];
const PICTURES: [&str; 2] = ["", "model."];

/// The names under which a checkpoint may hold the tensor `name`, likeliest first.
pub(super) fn candidates(name: &str) -> Vec<String> {
    let spell = |prefixes: &[&str], rest: String| prefixes.iter().map(|prefix| format!("{prefix}{rest}")).collect();
    if let Some(rest) = name.strip_prefix("vision.") {
        let rest = match rest.strip_prefix("layers.") {
            Some(layer) => format!("vision_tower.transformer.layers.{layer}.weight"),
            None => format!("vision_tower.{rest}.weight"),
        };
        return spell(&PICTURES, rest);
    }
    if let Some(rest) = name.strip_prefix("projector.") {
        let inner = if rest == "merging_layer" { "patch_merger.merging_layer" } else { rest };
        let kind = if rest.ends_with(".bias") { "" } else { ".weight" };
        return spell(&PICTURES, format!("multi_modal_projector.{inner}{kind}"));
    }
    if name == "lm_head" {
        return spell(&HEAD, "lm_head.weight".into());
    }
    spell(&DECODER, format!("{name}.weight"))
}
