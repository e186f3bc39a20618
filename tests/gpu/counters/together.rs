//! Cost of a token in a batch of answers: the weights are bound once for all rows.

use ocelli::config::KvPrecision;
use ocelli::gpu::{Allocator, DryDevice};
use ocelli::layers::{TextRows, Workspace};
use ocelli::layout::Layout;
use ocelli::state::State;

use super::{bound_bytes, dry_model};
use crate::manifests;

const ENTRIES: usize = 1024;

#[test]
fn a_step_of_several_conversations_launches_as_much_as_one_and_binds_the_weights_once() {
    let config = manifests::ministral_3b();
    let model = dry_model(&config, Layout::Q4_64, Layout::Q4_64);
    let device = DryDevice::new(u64::MAX, model.device.max_bindings());
    let rows = TextRows { prompt: 16, head: 8, step: 8 };
    let work = Workspace::new(&device, config.text(), rows, 4096).expect("a workspace");
    let state = State::with_room(&device, config.text(), KvPrecision::F16, (ENTRIES, 1)).expect("a state");
    let cache = ENTRIES as u64 * State::entry_bytes(config.text(), KvPrecision::F16);
    let alone = model.step(&work, &state, ENTRIES - 1, 1).expect("a step");
    let least = model.text_bytes + cache;
    for count in [4, 8] {
        let step = model.batch_step(&work, &state, ENTRIES - 1, count).expect("a step");
        assert_eq!(step.dispatches().count(), alone.dispatches().count(), "{count}:\n{step}");
        let bound = bound_bytes(&step);
        assert!(bound * 100 <= least * 103, "{count}: {bound} bytes are bound, weights and cache are {least}");
        // On a dry device all conversations have the same pages.
        let of_all = bound + (count as u64 - 1) * cache;
        let a_token = of_all / count as u64;
        println!("{count} at once: {of_all} bytes a step, {a_token} a token; alone {}", bound_bytes(&alone));
        assert!((a_token - cache) * count as u64 * 100 <= model.text_bytes * 103, "{count}: {a_token} bytes a token");
    }
}
