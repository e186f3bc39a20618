//! Blocks converted to planes: no bit changes, and the numbers equal those of gguf-py.

use ocelli::import::layouts::{Layouts, Target};
use ocelli::layout::blocks::{append_rows, block_size};
use ocelli::layout::quant::{decode, encode_rows};
use ocelli::layout::{Layout, MatrixShape};
use ocelli::package::Package;
use safetensors::SafeTensors;

use super::super::common::{read_planes, read_values};
use super::parts::Parts;
use super::{both, pack_as, pack_with, read, text_files};

fn layouts_of_ggml() -> impl Iterator<Item = Layout> {
    Layout::ALL.into_iter().filter(|layout| layout.spec().ggml.is_some())
}

fn planes_of(layout: Layout, blocks: usize, raw: &[u8]) -> Vec<Vec<u8>> {
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    append_rows(layout, blocks, raw, &mut planes);
    planes
}

/// ggml's blocks from planes: the inverse conversion, written only from the description in `layout.rs`.
fn blocks_of(layout: Layout, shape: MatrixShape, planes: &[Vec<u8>]) -> Vec<u8> {
    let (_, elements) = block_size(layout).expect("blocks");
    let per_row = shape.cols / elements;
    let one = |index: usize| block(layout, index / per_row, index % per_row, per_row, planes);
    (0..shape.rows * per_row).flat_map(one).collect()
}

fn block(layout: Layout, row: usize, at: usize, per_row: usize, planes: &[Vec<u8>]) -> Vec<u8> {
    let index = row * per_row + at;
    // Piece `i` of `count` a block, of `size` bytes, in a plane that has four rows side by side.
    let piece = |plane: &[u8], count: usize, i: usize, size: usize| {
        let place = ((row / 4 * per_row + at) * count + i) * 4 + row % 4;
        plane[place * size..][..size].to_vec()
    };
    let low = |b: usize, e: usize| planes[0][(index * 8 + b) * 16 + e % 16] >> (e / 16 * 4) & 15;
    match layout {
        Layout::Q8_0 => [piece(&planes[1], 1, 0, 2), planes[0][index * 32..][..32].to_vec()].concat(),
        Layout::Q4_0 | Layout::Iq4Nl => [piece(&planes[1], 1, 0, 2), planes[0][index * 16..][..16].to_vec()].concat(),
        Layout::Mxfp4 => [piece(&planes[1], 1, 0, 1), planes[0][index * 16..][..16].to_vec()].concat(),
        Layout::Q4_1 => [piece(&planes[1], 1, 0, 4), planes[0][index * 16..][..16].to_vec()].concat(),
        Layout::Q5_0 | Layout::Q5_1 => {
            let bit = |e: usize| planes[1][index * 4 + e % 4] >> (e / 4) & 1;
            let fifth = (0..4).map(|i| (0..8).fold(0, |byte, j| byte | bit(8 * i + j) << j)).collect();
            let head = piece(&planes[2], 1, 0, if layout == Layout::Q5_0 { 2 } else { 4 });
            [head, fifth, planes[0][index * 16..][..16].to_vec()].concat()
        }
        Layout::Iq4Xs => {
            let scale = |b: usize| piece(&planes[1], 8, b, 1)[0].wrapping_add(32);
            let upper = (0..8).fold(0u16, |word, b| word | u16::from(scale(b) >> 4) << (2 * b));
            let lower = (0..4).map(|i| scale(2 * i) & 15 | (scale(2 * i + 1) & 15) << 4).collect();
            let quants = planes[0][index * 128..][..128].to_vec();
            [piece(&planes[2], 1, 0, 2), upper.to_le_bytes().to_vec(), lower, quants].concat()
        }
        Layout::Q3K => {
            let scale = |g: usize| piece(&planes[1], 8, g / 2, 2)[g % 2].wrapping_add(32);
            let third = (0..32).map(|e| (0..8).fold(0, |byte, b| byte | low(b, e) >> 2 << b));
            let lower = (0..8).map(|g| scale(g) & 15 | (scale(g + 8) & 15) << 4);
            let upper = (0..4).map(|i| (0..4).fold(0, |byte, g| byte | scale(4 * g + i) >> 4 << (2 * g)));
            let scales = lower.chain(upper);
            third.chain(pairs_of_bits(low)).chain(scales).chain(piece(&planes[2], 1, 0, 2)).collect()
        }
        Layout::Q2K => {
            let scales = (0..8).flat_map(|b| piece(&planes[1], 8, b, 2));
            scales.chain(pairs_of_bits(low)).chain(piece(&planes[2], 1, 0, 4)).collect()
        }
        Layout::Q6K => {
            let top = |b: usize, e: usize| planes[1][(index * 8 + b) * 8 + e / 16 * 4 + e % 4] >> (e % 16 / 4 * 2) & 3;
            let ql = (0..128)
                .map(|i| low(i / 64 * 4 + i % 64 / 32, i % 32) | low(i / 64 * 4 + i % 64 / 32 + 2, i % 32) << 4);
            let qh = (0..64)
                .map(|i| (0..4).fold(0, |byte, quarter| byte | top(i / 32 * 4 + quarter, i % 32) << (2 * quarter)));
            let scales = (0..8).flat_map(|b| piece(&planes[2], 8, b, 2));
            ql.chain(qh).chain(scales).chain(piece(&planes[3], 1, 0, 2)).collect()
        }
        _ => {
            let (scales, supers) = (&planes[planes.len() - 2], &planes[planes.len() - 1]);
            let s: Vec<[u8; 2]> = (0..8).map(|b| piece(scales, 8, b, 2).try_into().expect("two")).collect();
            let packed = (0..12).map(|i| match i / 4 {
                0 => s[i][0] | s[i + 4][0] >> 4 << 6,
                1 => s[i - 4][1] | s[i][1] >> 4 << 6,
                _ => s[i - 4][0] & 15 | s[i - 4][1] << 4,
            });
            let top = |b: usize, e: usize| planes[1][(index * 8 + b) * 4 + e % 4] >> (e / 4) & 1;
            let fifth = (0..32).map(|e| (0..8).fold(0, |byte, b| byte | top(b, e) << b));
            let fifth: Vec<u8> = if layout == Layout::Q5K { fifth.collect() } else { Vec::new() };
            let quants = (0..128).map(|i| low(i / 32 * 2, i % 32) | low(i / 32 * 2 + 1, i % 32) << 4);
            piece(supers, 1, 0, 4).into_iter().chain(packed).chain(fifth).chain(quants).collect()
        }
    }
}

/// The lower two bits of the elements of a super-block, as `Q2_K` and `Q3_K` have them.
fn pairs_of_bits(low: impl Fn(usize, usize) -> u8) -> impl Iterator<Item = u8> {
    (0..64).map(move |i| (0..4).fold(0, |byte, b| byte | (low(i / 32 * 4 + b, i % 32) & 3) << (2 * b)))
}

#[test]
fn random_blocks_decode_as_in_gguf_py_and_convert_back() {
    let bytes = read("blocks.safetensors");
    let golden = SafeTensors::deserialize(&bytes).expect("safetensors");
    for layout in layouts_of_ggml() {
        let raw = golden.tensor(layout.name()).expect("blocks");
        let values = golden.tensor(&format!("{layout}.values")).expect("values");
        let &[rows, cols] = values.shape() else { panic!("a matrix") };
        let (size, elements) = block_size(layout).expect("blocks");
        assert_eq!((raw.shape(), rows, cols), (&[6, 512 / elements * size][..], 6, 512));
        let planes = planes_of(layout, cols / elements, raw.data());
        // The same operations in the same order: not a bit differs.
        let ours: Vec<u32> =
            decode(layout, &[rows, cols], &planes).expect("numbers").iter().map(|x| x.to_bits()).collect();
        let theirs: Vec<u32> = values.data().as_chunks().0.iter().map(|&x| u32::from_le_bytes(x)).collect();
        assert_eq!(ours, theirs, "{layout}");
        assert_eq!(blocks_of(layout, MatrixShape { rows, cols }, &planes), raw.data(), "{layout}");
        // In two steps, with padding by rows of zeros.
        let mut halves = planes_of(layout, cols / elements, &raw.data()[..4 * raw.shape()[1]]);
        append_rows(layout, cols / elements, &raw.data()[4 * raw.shape()[1]..], &mut halves);
        assert_eq!(halves, planes, "{layout}");
        let sizes: Vec<u64> = layout.planes(&[rows, cols]).expect("planes").iter().map(|plane| plane.bytes).collect();
        assert_eq!(sizes, planes.iter().map(|plane| plane.len() as u64).collect::<Vec<_>>());
        let padded = decode(layout, &[8, cols], &planes).expect("numbers");
        assert!(padded[rows * cols..].iter().all(|&x| x == 0.0), "{layout}");
    }
}

#[test]
fn rows_of_k_quants_are_whole_super_blocks() {
    for layout in Layout::ALL.into_iter().filter(|layout| layout.is_k_quant()) {
        assert!(layout.planes(&[3, 512]).is_some());
        assert_eq!((layout.planes(&[3, 128]), layout.planes(&[512])), (None, None));
        // Bits of 10,000 weights.
        let bytes: u64 = layout.planes(&[4, 256]).expect("planes").iter().map(|plane| plane.bytes).sum();
        assert_eq!(
            bytes * 8 * 10_000 / 1024,
            match layout {
                Layout::Q4K => 46_250,
                Layout::Q5K => 56_250,
                Layout::Q6K => 65_625,
                Layout::Iq4Xs => 43_125,
                Layout::Q3K => 45_625,
                _ => 46_250,
            }
        );
    }
}

#[test]
fn a_package_holds_the_bits_of_the_file() {
    for name in ["mixed", "bf16", "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"] {
        let (manifest, packed) = pack_as(&text_files(name, |_| ()), &both(), None).expect(name);
        let package = pollster::block_on(Package::open(packed)).expect("a package");
        let source = Parts::of(&read(&format!("{name}.gguf")));
        let pairs = [
            ("embed_tokens", "token_embd.weight"),
            ("norm", "output_norm.weight"),
            ("layers.0.self_attn.q_proj", "blk.0.attn_q.weight"),
            ("layers.0.self_attn.v_proj", "blk.0.attn_v.weight"),
            ("layers.0.self_attn.o_proj", "blk.0.attn_output.weight"),
            ("layers.0.mlp.gate_proj", "blk.0.ffn_gate.weight"),
            ("layers.0.mlp.down_proj", "blk.0.ffn_down.weight"),
        ];
        for (ours, theirs) in pairs {
            let tensor = source.tensors.iter().find(|tensor| tensor.name == theirs).expect(theirs);
            let (layout, shape, planes) = read_planes(&package, ours);
            let expected = match tensor.kind {
                0 => Layout::F32,
                1 | 30 => Layout::F16,
                2 => Layout::Q4_0,
                8 => Layout::Q8_0,
                12 => Layout::Q4K,
                13 => Layout::Q5K,
                _ => Layout::Q6K,
            };
            assert_eq!(layout, expected, "{name} {ours}");
            if let (&[rows, cols], Some(_)) = (shape.as_slice(), block_size(layout)) {
                assert_eq!(blocks_of(layout, MatrixShape { rows, cols }, &planes), tensor.data, "{name} {ours}");
            } else if tensor.kind < 2 {
                assert_eq!(planes[0][..tensor.data.len()], tensor.data, "{name} {ours}");
            }
        }
        let most = match name {
            "mixed" | "bf16" => Layout::F16,
            name => Layout::ALL.into_iter().find(|layout| layout.name() == name).expect("a layout"),
        };
        assert_eq!(manifest.quantization, most, "{name}");
    }
}

#[test]
fn a_file_of_any_type_is_worth_what_gguf_py_says() {
    for layout in layouts_of_ggml() {
        a_file_decodes_as_in_gguf_py(layout);
    }
}

fn a_file_decodes_as_in_gguf_py(layout: Layout) {
    let (kind, (block, elements)) =
        (layout.spec().ggml.as_ref().expect("a type").number, block_size(layout).expect("blocks"));
    let bytes = read("blocks.safetensors");
    let golden = SafeTensors::deserialize(&bytes).expect("safetensors");
    let (raw, values) =
        (golden.tensor(layout.name()).expect("blocks"), golden.tensor(&format!("{layout}.values")).expect("values"));
    let (name, rows, cols) = ("blk.0.attn_q.weight", 128, 256);
    // The golden rows of 512, over and over, as rows of 256.
    let blocks: Vec<u8> = raw.data().iter().copied().cycle().take(rows * cols / elements * block).collect();
    let files = text_files("q4_0", |parts| {
        let tensor = parts.tensor(name);
        assert_eq!(tensor.dims, [cols as u64, rows as u64]);
        (tensor.kind, tensor.data) = (kind, blocks.clone());
    });
    let (_, packed) = pack_as(&files, &both(), None).expect("a package");
    let package = pollster::block_on(Package::open(packed)).expect("a package");
    let (packed_as, shape, planes) = read_planes(&package, "layers.0.self_attn.q_proj");
    assert_eq!((packed_as, shape.as_slice()), (layout, &[rows, cols][..]));
    assert_eq!(blocks_of(layout, MatrixShape { rows, cols }, &planes), blocks);
    let numbers = read_values(&package, "layers.0.self_attn.q_proj");
    let theirs = values.data().as_chunks().0.iter().map(|&x| u32::from_le_bytes(x)).cycle();
    assert!(numbers.iter().map(|x| x.to_bits()).eq(theirs.take(rows * cols)));
}

#[test]
fn only_floats_take_the_layout_asked_for() {
    for layout in Layout::from_numbers() {
        let (manifest, _) = pack_as(&text_files("q4_k", |_| ()), &both(), Some(layout)).expect("a package");
        let stored = |name: &str| manifest.tensor(name).expect(name).layout;
        assert_eq!(stored("layers.0.self_attn.q_proj"), Layout::Q4K);
        assert_eq!(stored("embed_tokens"), Layout::Q6K);
        assert_eq!(stored("vision.layers.0.attention.q_proj"), layout);
        assert_eq!(stored("projector.merging_layer"), layout);
        assert_eq!(stored("vision.patch_conv"), if layout == Layout::F32 { Layout::F32 } else { Layout::F16 });
        assert_eq!(stored("norm"), Layout::F32);
    }
    let (manifest, _) = pack_as(&text_files("q4_k", |_| ()), &both(), None).expect("a package");
    assert_eq!(manifest.tensor("vision.patch_conv").expect("a tensor").layout, Layout::F32, "as the file has it");
    assert_eq!(manifest.tensor("vision.layers.0.attention.q_proj").expect("a tensor").layout, Layout::F16);
}

#[test]
fn quantised_tensors_are_requantised_only_on_request_and_reported() {
    let files = text_files("q4_k", |_| ());
    let (kept, bits) = pack_as(&files, &both(), None).expect("a package");
    assert!(kept.tensors.iter().all(|tensor| tensor.requantized_from.is_none()));
    let bits = pollster::block_on(Package::open(bits)).expect("a package");
    let tower = Layouts { vision: Target::All(Layout::Q8_0), ..Layouts::COMPACT };
    for (layouts, eyes) in [(Layouts::COMPACT, Layout::F16), (tower, Layout::Q8_0)] {
        let (manifest, packed) = pack_with(&files, &both(), layouts).expect("a package");
        assert_eq!(manifest.quantization, Layout::Q4_64);
        assert_eq!(manifest.tensor("vision.layers.0.attention.q_proj").expect("a tensor").layout, eyes);
        let package = pollster::block_on(Package::open(packed)).expect("a package");
        let mut again = 0;
        for tensor in &manifest.tensors {
            let before = kept.tensor(&tensor.name).expect("the same tensors");
            let text = !tensor.name.starts_with("vision.") && !tensor.name.starts_with("projector.");
            let (&[rows, cols], true) = (tensor.shape.as_slice(), text) else {
                assert_eq!(tensor.requantized_from, None, "{}", tensor.name);
                continue;
            };
            again += 1;
            assert_eq!(
                (tensor.layout, tensor.requantized_from),
                (Layout::Q4_64, Some(before.layout)),
                "{}",
                tensor.name
            );
            let numbers = read_values(&bits, &tensor.name);
            let mut planes = vec![Vec::new(); 2];
            encode_rows(Layout::Q4_64, cols, &numbers, &mut planes).expect("numbers");
            let expected = decode(Layout::Q4_64, &[rows, cols], &planes).expect("its own planes");
            assert_eq!(read_values(&package, &tensor.name), expected, "{}", tensor.name);
        }
        assert_eq!(again, 8);
    }
}
