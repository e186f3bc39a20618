//! Launches and bindings of a token and of a picture of Llama 3.2 Vision.

use ocelli::config::{ImageGrid, KvPrecision, LayerKind};
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;
use ocelli::state::State;
use ocelli_synth::published;

use super::qwen::listed;
use super::{bound_bytes, buffers, dry_model};

const SHAPE: &str = "llama-3.2-11b-vision";

/// Five launches a layer, and one more if several workgroups share a long context. A layer that reads pictures takes seven: norm and
/// product, norms of the queries, attention by several workgroups and their sums, output, gate and up, down.
#[test]
fn a_token_of_llama_3_2_11b_vision_launches_little_and_binds_little_but_weights() {
    let config = published(SHAPE).expect("a shape");
    let (model, mut text) = (dry_model(&config, Layout::Q4_0, Layout::Q8_0), String::new());
    let config = config.text();
    let cross = config.count(LayerKind::CrossAttention);
    let own = config.layers.len() - cross;
    for (position, of_layer) in [(0, 5), (4095, 6)] {
        let (work, state) = buffers(&model, 16, position + 1);
        let step = model.step(&work, &state, position, 1).expect("a step");
        let count = step.dispatches().count();
        // Embedding and head have three parts each.
        assert!(count <= of_layer * own + 7 * cross + 6, "{count} launches at {position}:\n{step}");
        let tokens = (position + 1).next_multiple_of(256) as u64;
        let picture = config.cross.as_ref().expect("sizes").picture_rows;
        let least = model.text_bytes
            + tokens * State::entry_bytes(config, KvPrecision::F16)
            + picture as u64 * 8 * 2 * 8 * 128 * 2;
        let bound = bound_bytes(&step);
        assert!(bound * 100 <= least * 103, "{bound} bytes are bound, weights and caches are {least}");
        text += &listed(&format!("token {position} after a picture"), &step);
    }
    let (work, state) = buffers(&model, 256, 256);
    let layers = config.layers.len();
    text += &listed("a picture and 255 tokens", &model.chunk((&work, &state), (0, 256), 0..layers).expect("a chunk"));
    insta::assert_snapshot!("llama_3_2_11b_vision_text", text);
}

/// The stages of a picture of one tile: before the layers, a layer, one whose input is part of the features, the first after the others,
/// and the last part of the projector.
#[test]
fn launches_of_a_picture_of_llama_3_2_11b_vision_are_golden() {
    let config = published(SHAPE).expect("a shape");
    let mut model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
    let pixels = Pixels::blank(ImageGrid::new(1, 1), 560);
    let stages = model.picture(&pixels, 1024).expect("a picture");
    let shown =
        [("stem", 0), ("layer", 1), ("layer of the features", 4), ("first after", 33), ("projector", stages.len() - 1)];
    let text: String = shown.iter().map(|(what, stage)| listed(what, &stages[*stage])).collect();
    insta::assert_snapshot!("llama_3_2_11b_vision_picture_of_one_tile", text);
}
