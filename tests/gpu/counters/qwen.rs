//! Launches and bindings of a token and of a picture of Qwen's models.

use std::fmt::Write;

use ocelli::config::{ImageGrid, KvPrecision, LayerKind};
use ocelli::gpu::Recording;
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;
use ocelli::state::State;
use ocelli_synth::published;

use super::{bound_bytes, buffers, dry_model, launches};

/// A line for each kernel of a recording with its number of launches.
pub(super) fn listed(what: &str, recording: &Recording) -> String {
    let mut text = format!("{what}: {} launches\n", recording.dispatches().count());
    for (kernel, count) in launches(recording) {
        writeln!(text, "{count:>5} x {kernel}").expect("a line");
    }
    text
}

/// The forward pass of a token: norm and product, norms of heads with rotation and append, attention, output, gate and up, down.
#[test]
fn a_token_of_qwen3_vl_2b_launches_six_kernels_a_layer_and_binds_little_but_weights() {
    let config = published("qwen3-vl-2b").expect("a shape");
    let (model, mut text) = (dry_model(&config, Layout::Q4_0, Layout::Q8_0), String::new());
    let layers = config.text().layers.len();
    for (position, of_layer) in [(0, 6), (4095, 7)] {
        let (work, state) = buffers(&model, 16, position + 1);
        let step = model.step(&work, &state, position, 1).expect("a step");
        let count = step.dispatches().count();
        assert!(count <= of_layer * layers + 3, "{count} launches at {position}:\n{step}");
        let tokens = (position + 1).next_multiple_of(256) as u64;
        let least = model.text_bytes + tokens * State::entry_bytes(config.text(), KvPrecision::F16);
        let bound = bound_bytes(&step);
        assert!(bound * 100 <= least * 103, "{bound} bytes are bound, weights and cache are {least}");
        text += &listed(&format!("token {position}"), &step);
    }
    let (work, state) = buffers(&model, 256, 256);
    text += &listed("256 tokens", &model.chunk((&work, &state), (0, 256), 0..layers).expect("a chunk"));
    insta::assert_snapshot!("qwen3_vl_2b_text", text);
}

/// The stages of a picture of 448 x 448 pixels: before the layers, a layer, one with a merger, and the last merger.
#[test]
fn launches_of_a_picture_of_qwen3_vl_2b_are_golden() {
    let config = published("qwen3-vl-2b").expect("a shape");
    let mut model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
    let pixels = Pixels::blank(ImageGrid::new(14, 14), 32);
    let stages = model.picture(&pixels, 1024).expect("a picture");
    let shown = [("stem", 0), ("layer", 1), ("layer with a merger", 6), ("merger", stages.len() - 1)];
    let text: String = shown.iter().map(|(what, stage)| listed(what, &stages[*stage])).collect();
    insta::assert_snapshot!("qwen3_vl_2b_picture_of_448", text);
}

/// Seven launches a delta layer: norm and product, gates, convolution and scan, norm and gate, output, gate and up, down. Six a layer of
/// attention, and one more if several workgroups share a long context.
#[test]
fn a_token_of_qwen3_5_launches_seven_kernels_a_delta_layer_and_binds_little_but_weights() {
    let mut text = String::new();
    for name in ["qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-9b"] {
        let config = published(name).expect("a shape");
        let model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
        let config = config.text();
        let [deltas, attentions] = [LayerKind::DeltaNet, LayerKind::FullAttention].map(|kind| config.count(kind));
        for (position, of_attention) in [(0, 6), (4095, 7)] {
            let (work, state) = buffers(&model, 16, position + 1);
            let step = model.step(&work, &state, position, 1).expect("a step");
            let count = step.dispatches().count();
            // Embedding and head of the largest model have two and four parts.
            assert!(count <= 7 * deltas + of_attention * attentions + 6, "{count} launches at {position}:\n{step}");
            let tokens = (position + 1).next_multiple_of(256) as u64;
            let least = model.text_bytes
                + tokens * State::entry_bytes(config, KvPrecision::F16)
                + State::recurrent_bytes(config);
            let bound = bound_bytes(&step);
            assert!(bound * 100 <= least * 103, "{bound} bytes are bound; weights, cache and states are {least}");
            text += &listed(&format!("{name}, token {position}"), &step);
        }
        let (work, state) = buffers(&model, 256, 256);
        let chunk = model.chunk((&work, &state), (0, 256), 0..config.layers.len()).expect("a chunk");
        text += &listed(&format!("{name}, 256 tokens"), &chunk);
    }
    insta::assert_snapshot!("qwen3_5_text", text);
}
