//! Launches of MiniCPM-V 4.6's tower. Those of its decoder are those of Qwen3.5.

use ocelli::config::{ImageGrid, Slices};
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;
use ocelli_synth::published;

use super::dry_model;
use super::qwen::listed;

/// The stages of a picture of 448 x 448 pixels: before the layers, a layer, that with the merger, one after it, and the last merger. Slices of the same size take
/// the launches of such a picture each.
#[test]
fn launches_of_a_picture_of_minicpm_v_are_golden() {
    let config = published("minicpm-v-4.6").expect("a shape");
    let mut model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
    let square = ImageGrid::new(8, 8);
    let stages = model.picture(&Pixels::blank(square, 56), 1024).expect("a picture");
    let shown =
        [("stem", 0), ("layer", 1), ("layer and merger", 7), ("layer after it", 8), ("last merger", stages.len() - 1)];
    let text: String = shown.iter().map(|(what, stage)| listed(what, &stages[*stage])).collect();
    insta::assert_snapshot!("minicpm_v_picture_of_448", text);
    let slices = Some(Slices { rows: 2, cols: 1, whole: [8, 8] });
    let sliced = model.picture(&Pixels::blank(ImageGrid { rows: 16, cols: 8, slices }, 56), 1024).expect("a picture");
    for (sliced, whole) in sliced.iter().zip(&stages) {
        assert_eq!(sliced.dispatches().count(), 3 * whole.dispatches().count());
        assert_eq!(sliced.flops(), 3 * whole.flops());
    }
}
