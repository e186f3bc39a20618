//! Dry plans of the largest shapes: weights, keys and values and states equal the published sizes.

use ocelli::config::KvPrecision;
use ocelli::gpu::Purpose;
use ocelli::layout::Layout;
use ocelli::memory::{MemoryOptions, Phase, Plan, plan};
use ocelli::state::State;
use ocelli_synth::published;

use crate::manifests::manifest;

const GIB: u64 = 1 << 30;
const F32: u64 = 4;
const F16: u64 = 2;

fn planned(name: &str, context: usize) -> Plan {
    let manifest = manifest(published(name).unwrap(), Layout::Q4_0, Layout::Q4_0);
    let options = MemoryOptions { context: Some(context), kv: Some(KvPrecision::F16), ..MemoryOptions::default() };
    plan(&manifest, 4 * GIB, options).unwrap()
}

/// Bytes that a plan reserves for a purpose during text.
fn bytes(plan: &Plan, purpose: Purpose) -> u64 {
    let phase = plan.phases.iter().find(|phase| phase.phase == Phase::Text).unwrap();
    phase.purposes.iter().find(|row| row.purpose == purpose).unwrap().bytes
}

/// Bytes of matrices of 4.5 bits a weight, and of vectors.
fn q4_0(weights: u64, numbers: u64) -> u64 {
    weights / 32 * 18 + numbers * F32
}

#[test]
fn the_27b_has_a_state_of_150_mib_and_keys_and_values_of_64_kib_a_token() {
    let (hidden, ffn, vocabulary) = (5120, 17_408, 248_320);
    // 48 layers with a gated delta net: 16 key heads and 48 value heads, 128 wide.
    let (keys, values) = (16 * 128, 48 * 128);
    let channels = 2 * keys + values;
    let recurrent = (hidden * (channels + values + 48 + 48 + values), 4 * channels + 48 + 48 + 128);
    // 16 layers of attention: 24 query heads with gates, 4 key and value heads, 256 wide.
    let attention = (hidden * 256 * (24 + 24 + 4 + 4 + 24), 2 * 256);
    let (shared, norms) = (3 * hidden * ffn, 2 * hidden);
    let matrices = 48 * (recurrent.0 + shared) + 16 * (attention.0 + shared) + 2 * vocabulary * hidden;
    let vectors = 48 * (recurrent.1 + norms) + 16 * (attention.1 + norms) + hidden;
    assert_eq!((matrices, vectors), (26_893_352_960, 2_645_504));
    let plan = planned("qwen3.5-27b", 4096);
    assert_eq!(bytes(&plan, Purpose::TextWeights), q4_0(matrices, vectors));

    let text = published("qwen3.5-27b").unwrap().text().clone();
    let entry = 16 * 2 * 4 * 256 * F16;
    assert_eq!((State::entry_bytes(&text, KvPrecision::F16), entry), (entry, 65_536));
    // Three inputs of a convolution, and a matrix for each head.
    let state = 48 * (3 * channels + 48 * 128 * 128) * F32;
    assert_eq!((State::recurrent_bytes(&text), state), (state, 156_893_184));
    // A conversation has its state and two checkpoints, and a copy while a pass over drafts is compared with steps; an idle one has two.
    // Eight rows of drafts are kept for every layer. Keys and values of a layer exist twice while they grow.
    let (longer, shorter) = (bytes(&plan, Purpose::KvCache), bytes(&planned("qwen3.5-27b", 2048), Purpose::KvCache));
    assert_eq!(plan.idle_conversations, 2);
    let drafts = 48 * 8 * (channels + values + 48 + 48) * F32;
    let (pages, states) = (4096 * entry, (4 + 2 * 2) * state + drafts);
    let (least, most) = (pages + states, pages + states + (pages + 4 * state + drafts) / 16);
    assert!((least..=most + (1 << 20)).contains(&longer), "{longer}, not from {least} to {most}");
    assert!((longer - shorter).abs_diff(2048 * entry * 17 / 16) < 1 << 16, "{longer} {shorter}");
}

#[test]
fn the_90b_has_keys_and_values_of_320_kib_a_token_and_80_kib_a_row_of_a_picture() {
    let (hidden, ffn, vocabulary) = (8192, 28_672, 128_256);
    // Every layer has 64 query heads and 8 key and value heads, 128 wide; every fifth reads pictures, and has norms of its heads.
    let layer = hidden * 128 * (64 + 8 + 8 + 64) + 3 * hidden * ffn;
    // The embedding has eight more rows.
    let matrices = 100 * layer + (vocabulary + vocabulary + 8) * hidden;
    let vectors = 100 * 2 * hidden + 20 * 2 * 128 + hidden;
    assert_eq!((matrices, vectors), (87_665_213_440, 1_651_712));
    let plan = planned("llama-3.2-90b-vision", 4096);
    assert_eq!(bytes(&plan, Purpose::TextWeights), q4_0(matrices, vectors));

    let text = published("llama-3.2-90b-vision").unwrap().text().clone();
    let (entry, row) = (80 * 2 * 8 * 128 * F16, 20 * 2 * 8 * 128 * F16);
    assert_eq!((State::entry_bytes(&text, KvPrecision::F16), entry, row), (entry, 327_680, 81_920));
    assert_eq!(State::recurrent_bytes(&text), 0);
    // Four tiles of 40 x 40 patches, each with a class row.
    assert!(plan.feature_rows >= 4 * 1601, "{}", plan.feature_rows);
    let (longer, shorter) =
        (bytes(&plan, Purpose::KvCache), bytes(&planned("llama-3.2-90b-vision", 2048), Purpose::KvCache));
    assert!(longer > 4096 * entry + plan.feature_rows as u64 * row, "{longer}");
    assert!((longer - shorter).abs_diff(2048 * entry * 81 / 80) < 1 << 16, "{longer} {shorter}");
}

/// A context that nobody requested is as long as a modest cache allows, and longer contexts reduce nothing else.
#[test]
fn contexts_are_longer_where_keys_and_values_take_little() {
    let planned = |name: &str, more: MemoryOptions| {
        let manifest = manifest(published(name).unwrap(), Layout::Q4_0, Layout::Q4_0);
        plan(&manifest, 4 * GIB, more).unwrap()
    };
    let native = MemoryOptions { longest_context: Some(32_768), ..MemoryOptions::default() };
    let chosen = |name: &str| planned(name, native).context;
    assert_eq!(chosen("qwen3.5-0.8b"), 32_768);
    assert_eq!(chosen("ministral-3-3b"), 8192);
    assert_eq!(planned("qwen3.5-0.8b", MemoryOptions::default()).context, 4096, "pages");
    let asked = MemoryOptions { context: Some(2048), ..native };
    assert_eq!(planned("qwen3.5-0.8b", asked).context, 2048);
    // Within a budget only what is left is used.
    let short = planned("ministral-3-3b", MemoryOptions::default());
    let budget = Some(short.peak + (100 << 20));
    let (tight, plain) = (MemoryOptions { budget, ..native }, MemoryOptions { budget, ..MemoryOptions::default() });
    assert_eq!(planned("ministral-3-3b", tight), planned("ministral-3-3b", plain));
    let plenty = MemoryOptions { budget: Some(8 * GIB), ..native };
    let (longer, without) = (planned("ministral-3-3b", plenty), MemoryOptions { longest_context: None, ..plenty });
    let without = planned("ministral-3-3b", without);
    assert_eq!((longer.context, without.context), (8192, 4096));
    assert_eq!((longer.rows, longer.kv, longer.vision), (without.rows, without.kv, without.vision));
}
