//! Launches and bindings of a token and of a picture of SmolVLM.

use ocelli::config::{ImageGrid, KvPrecision};
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;
use ocelli::state::State;
use ocelli_synth::published;

use super::qwen::listed;
use super::{bound_bytes, buffers, dry_model};

const SHAPE: &str = "smolvlm2-500m";

/// Five launches a layer, and one more if several workgroups share a long context.
#[test]
fn a_token_of_smolvlm2_500m_launches_five_kernels_a_layer_and_binds_little_but_weights() {
    let config = published(SHAPE).expect("a shape");
    let (model, mut text) = (dry_model(&config, Layout::Q4_0, Layout::Q8_0), String::new());
    let layers = config.text().layers.len();
    for (position, of_layer) in [(0, 5), (4095, 6)] {
        let (work, state) = buffers(&model, 16, position + 1);
        let step = model.step(&work, &state, position, 1).expect("a step");
        let count = step.dispatches().count();
        assert!(count <= of_layer * layers + 3, "{count} launches at {position}:\n{step}");
        // The embedding, of which one row is read, is beside a head of its own.
        let embedding = (49_280 * 960 / 32 * 18) as u64;
        let tokens = (position + 1).next_multiple_of(256) as u64;
        let least = model.text_bytes + tokens * State::entry_bytes(config.text(), KvPrecision::F16);
        let bound = bound_bytes(&step);
        assert!(bound * 100 <= least * 103 && bound > least - embedding, "{bound} bytes are bound of {least}");
        text += &listed(&format!("token {position}"), &step);
    }
    insta::assert_snapshot!("smolvlm2_500m_text", text);
}

/// The stages of a picture of one row of two tiles, which are three views: before the layers, a layer, and the connector. Each view takes the
/// launches of a picture that is not split.
#[test]
fn launches_of_a_picture_of_smolvlm2_500m_are_golden() {
    let config = published(SHAPE).expect("a shape");
    let mut model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
    let stages = model.picture(&Pixels::blank(ImageGrid::new(1, 2), 512), 1024).expect("a picture");
    let shown = [("stem", 0), ("layer", 1), ("connector", stages.len() - 1)];
    let text: String = shown.iter().map(|(what, stage)| listed(what, &stages[*stage])).collect();
    insta::assert_snapshot!("smolvlm2_500m_picture_of_two_tiles", text);
    let whole = model.picture(&Pixels::blank(ImageGrid::new(1, 1), 512), 1024).expect("a picture");
    for (split, whole) in stages.iter().zip(&whole) {
        assert_eq!(split.dispatches().count(), 3 * whole.dispatches().count());
        assert_eq!(split.flops(), 3 * whole.flops());
    }
}
