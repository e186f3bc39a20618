//! Hardware demand of each kernel of a step, of a prompt's chunk and of a picture, and the best possible times on known devices.

use std::fmt::Write;

use naga::AddressSpace;
use ocelli::config::ImageGrid;
use ocelli::gpu::{Dispatch, Recording};
use ocelli::layers::vision::Pixels;
use ocelli::layout::Layout;

use super::{bound_bytes, buffers, dry_model, flops};
use crate::manifests;

/// A published device.
struct Device {
    name: &'static str,
    /// GB/s, and the share that the best kernels reach.
    bandwidth: f64,
    share: f64,
    /// TFLOP/s in 32-bit floats.
    peak: f64,
}

const fn device(name: &'static str, bandwidth: f64, share: f64, peak: f64) -> Device {
    Device { name, bandwidth, share, peak }
}

const DEVICES: [Device; 8] = [
    device("M1", 68.0, 0.75, 2.6),
    device("M4", 120.0, 0.75, 4.3),
    device("M4 Pro", 273.0, 0.75, 9.2),
    device("Iris Xe", 77.0, 0.65, 2.2),
    device("Radeon 780M", 90.0, 0.65, 8.1),
    device("RTX 3060", 360.0, 0.75, 12.7),
    device("RTX 4090", 1008.0, 0.75, 82.6),
    device("Adreno 750", 77.0, 0.55, 2.8),
];
/// Share of a device's arithmetic that good kernels reach.
const PEAK_SHARE: f64 = 0.5;
/// Seconds between two dependent launches.
const GAP: f64 = 5e-6;

/// Threads of a workgroup, bytes of workgroup memory, barriers in the text.
fn shape(dispatch: &Dispatch) -> (u32, u32, usize) {
    let source = dispatch.kernel.source().expect("WGSL");
    let module = naga::front::wgsl::parse_str(&source).expect("valid WGSL");
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    let [x, y, z] = module.entry_points[0].workgroup_size;
    (x * y * z, bytes, source.matches("workgroupBarrier()").count())
}

/// A line for each kernel: count, workgroups, threads, workgroup memory, barriers, bytes bound; for products also FLOP, FLOP for each byte
/// bound, bits of a weight.
fn table(recording: &Recording, seen: u64) -> String {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for dispatch in recording.dispatches() {
        let [x, y, z] = dispatch.grid;
        let (threads, shared, barriers) = shape(dispatch);
        let bound: u64 = dispatch.buffers.iter().map(|slice| slice.bytes).sum();
        let mut line = format!(
            "{:<34} {:>5} workgroups of {threads:>3}, {shared:>5} bytes shared, {barriers} barriers, {bound:>9} bytes bound",
            dispatch.kernel.name(),
            x * y * z
        );
        let arithmetic = flops::of(dispatch, seen);
        if arithmetic.flops > 0 {
            let of_a_byte = arithmetic.flops as f64 / bound as f64;
            write!(line, ", {:>12} FLOP, {of_a_byte:>6.1} a byte", arithmetic.flops).expect("a line");
        }
        if arithmetic.weights > 0 {
            let bits = 8.0 * arithmetic.weight_bytes as f64 / arithmetic.weights as f64;
            write!(line, ", {bits:.2} bits a weight").expect("a line");
        }
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => lines.push((line, 1)),
        }
    }
    lines.into_iter().map(|(line, count)| format!("{count:>3} x {line}\n")).collect()
}

/// FLOP of all launches.
fn all_flops(recording: &Recording, seen: u64) -> u64 {
    recording.dispatches().map(|dispatch| flops::of(dispatch, seen).flops).sum()
}

/// Tokens a second, bounded by bandwidth and launches only.
fn roofline(bytes: u64, launches: usize) -> String {
    let mut text = String::new();
    for Device { name, bandwidth, share, .. } in DEVICES {
        let limit = bandwidth * 1e9 / bytes as f64;
        let seconds = bytes as f64 / (bandwidth * 1e9 * share) + launches as f64 * GAP;
        writeln!(
            text,
            "{name:<12} {bandwidth:>5} GB/s: at most {limit:>4.0} tokens/s, {:>4.0} to be had",
            seconds.recip()
        )
        .expect("a line");
    }
    text
}

/// Seconds of a recording on a device. Each launch is bounded by its arithmetic or its bytes, whichever takes longer.
fn seconds(recording: &Recording, device: &Device) -> f64 {
    let of_launch = |dispatch: &Dispatch| {
        let bytes: u64 = dispatch.buffers.iter().map(|slice| slice.bytes).sum();
        let arithmetic = flops::of(dispatch, 0).flops as f64 / (device.peak * 1e12 * PEAK_SHARE);
        let memory = bytes as f64 / (device.bandwidth * 1e9 * device.share);
        GAP + arithmetic.max(memory)
    };
    recording.dispatches().map(of_launch).sum()
}

#[test]
fn hardware_demand_of_a_step_is_golden() {
    let config = manifests::ministral_3b();
    let (text, model) = (config.text(), dry_model(&config, Layout::Q4_0, Layout::Q4_0));
    let heads = text.num_attention_heads * text.head_dim;
    let of_layer =
        text.hidden_size * (2 * heads + 2 * text.num_key_value_heads * text.head_dim + 3 * text.intermediate_size);
    let weights = text.layers.len() * of_layer + text.vocab_size * text.hidden_size;
    for tokens in [256, 1024] {
        let (work, state) = buffers(&model, 16, tokens);
        let step = model.step(&work, &state, tokens - 1, 1).expect("a step");
        let flops = all_flops(&step, tokens as u64);
        assert_eq!(flops, (2 * weights + 4 * tokens * heads * text.layers.len()) as u64, "every weight is used once");
        let (bytes, launches) = (bound_bytes(&step), step.dispatches().count() + 2);
        let table = table(&step, tokens as u64);
        let text =
            format!("{table}\n{bytes} bytes, {flops} FLOP, {launches} launches\n\n{}", roofline(bytes, launches));
        insta::assert_snapshot!(format!("kernels_3b_after_{tokens}"), text);
    }
}

/// A layer over 512 tokens, in the two chunks that an engine submits.
#[test]
fn hardware_demand_of_a_prompt_is_golden() {
    const CHUNK: usize = 256;
    let config = manifests::ministral_3b();
    let model = dry_model(&config, Layout::Q4_0, Layout::Q4_0);
    let (mut tables, mut flops, mut launches) = (String::new(), 0, 0);
    let mut seconds_of = [0.0; DEVICES.len()];
    for past in [0, CHUNK] {
        let (work, state) = buffers(&model, CHUNK, past + CHUNK);
        let layer = model.chunk((&work, &state), (past, CHUNK), 1..2).expect("a layer");
        tables += &format!("after {past} tokens\n{}\n", table(&layer, 0));
        flops += all_flops(&layer, 0);
        launches += layer.dispatches().count();
        for (sum, device) in seconds_of.iter_mut().zip(&DEVICES) {
            *sum += seconds(&layer, device);
        }
    }
    let depth = config.text().layers.len();
    let mut text = format!("{tables}{flops} FLOP, {launches} launches a layer\n\n");
    for (device, layer) in DEVICES.iter().zip(seconds_of) {
        let tokens = (2 * CHUNK) as f64 / (layer * depth as f64);
        let Device { name, peak, .. } = device;
        writeln!(text, "{name:<12} {peak:>5} TFLOP/s: {tokens:>5.0} tokens/s to be had").expect("a line");
    }
    insta::assert_snapshot!("kernels_3b_prompt_of_512", text);
}

/// A layer of the tower over a picture of 448 x 448 pixels.
#[test]
fn hardware_demand_of_a_picture_is_golden() {
    let config = manifests::ministral_3b();
    let mut model = dry_model(&config, Layout::Q4_0, Layout::Q8_0);
    let pixels = Pixels::blank(ImageGrid::new(16, 16), 28);
    let layer = model.picture(&pixels, 1024).expect("a picture").swap_remove(1);
    let vision = config.vision().expect("a tower");
    let (patches, width) = (1024, vision.num_attention_heads * vision.head_dim);
    let flops = all_flops(&layer, 0);
    let weights = vision.hidden_size * (4 * width + 3 * vision.intermediate_size);
    assert_eq!(
        flops,
        (patches * (2 * weights + 4 * patches * width)) as u64,
        "every weight is used once for every patch"
    );
    let mut text = format!("{}\n{flops} FLOP, {} launches a layer\n\n", table(&layer, 0), layer.dispatches().count());
    for device in &DEVICES {
        let whole = seconds(&layer, device) * vision.num_hidden_layers as f64;
        writeln!(text, "{:<12} {:>5} TFLOP/s: {whole:>6.3} s for all layers to be had", device.name, device.peak)
            .expect("a line");
    }
    insta::assert_snapshot!("kernels_3b_picture_of_448", text);
}
