//! FLOP of submissions, from dry recordings: no submission exceeds the limit.

use ocelli::config::ImageGrid;
use ocelli::gpu::Recording;
use ocelli::gpu::recording::Command;
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;
use ocelli::model::DryModel;

use super::{buffers, dry_model, flops};
use crate::manifests;

/// FLOP limit of a submission on an unknown device, and on the slowest after three losses.
const BOUNDS: [u64; 2] = [10_000_000_000, 1 << 31];
/// Rows of a prompt's chunk, and the tokens before it.
const CHUNK: usize = 256;
const PAST: usize = 3840;

/// All recordings of a picture of `edge` pixels a side, then of a layer of a prompt's chunk and of the logits of its last row.
fn recordings(model: &mut DryModel, edge: usize) -> Vec<Recording> {
    let mut all = model.picture(&Pixels::blank(ImageGrid::new(1, 1), edge), 1024).expect("a picture");
    let (work, state) = buffers(model, CHUNK, PAST + CHUNK);
    all.push(model.chunk((&work, &state), (PAST, CHUNK), 0..1).expect("a layer"));
    all.push(model.head((&work, &state), 1).expect("a head"));
    all
}

#[test]
fn flops_of_launches_follow_from_their_sizes() {
    let mut model = dry_model(&manifests::ministral_3b(), Layout::Q4_0, Layout::Q8_0);
    for recording in recordings(&mut model, 448) {
        for command in recording.commands() {
            if let Command::Dispatch(dispatch, counted) = command {
                assert_eq!(*counted, flops::of(dispatch, 0).flops, "{} {}", dispatch.kernel.name(), dispatch.note);
            }
        }
    }
}

#[test]
fn no_submission_exceeds_its_limit_for_any_picture() {
    let mut model = dry_model(&manifests::ministral_3b(), Layout::Q4_0, Layout::Q8_0);
    for edge in [1036, 1540] {
        model.divide(None);
        let whole: Vec<u64> = recordings(&mut model, edge).iter().map(Recording::flops).collect();
        let longest = whole.iter().max().expect("a recording");
        assert!(*longest > 300_000_000_000, "a layer of the tower is {longest} FLOP");
        for most in BOUNDS {
            model.divide(Some(most));
            let mut submissions = 0;
            for (mut recording, whole) in recordings(&mut model, edge).into_iter().zip(&whole) {
                let (mut sum, mut launches) = (0, recording.dispatches().count());
                while let Some(piece) = recording.take_piece(most) {
                    assert!(piece.flops() <= most, "{} of {most} FLOP:\n{piece}", piece.flops());
                    sum += piece.flops();
                    launches -= piece.dispatches().count();
                    submissions += 1;
                }
                assert_eq!((sum, launches), (*whole, 0), "every row is computed once");
            }
            println!(
                "{edge} x {edge}, at most {most} FLOP: {submissions} submissions, the longest layer {longest} FLOP"
            );
        }
    }
}
