//! Damaged and hostile files: every error has a code and a reason, and no package is written.

use ocelli::Error;

use super::super::common::{XorShift, mutate};
use super::parts::{Parts, text};
use super::{TEXT, assert_says, both, files, pack, pack_as, read, refused, text_files};
use crate::common::MemoryFiles;

fn raw(bytes: Vec<u8>) -> MemoryFiles {
    let mut files = text_files("q4_0", |_| ());
    files.0.insert(TEXT.into(), bytes.into());
    files
}

fn says(error: &Error, parts: &[&str]) {
    assert_says(error, "invalid-checkpoint", &[&[TEXT], parts].concat());
}

#[test]
fn truncated_files() {
    let whole = read("q4_0.gguf");
    let mut cuts: Vec<usize> = (0..64).chain([100, 1000, 5000, 10_000, 11_000]).collect();
    cuts.extend([whole.len() / 2, whole.len() - 33, whole.len() - 1]);
    for cut in cuts {
        let error = refused(&raw(whole[..cut].to_vec()));
        says(&error, &["truncated"]);
    }
    // The data after the last needed tensor are not read.
    pack(&raw([&whole[..], &[7; 100]].concat())).expect("a package");
}

#[test]
fn headers_that_lie() {
    let whole = read("q4_0.gguf");
    let patched = |at: usize, bytes: &[u8]| {
        let mut damaged = whole.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&raw(damaged))
    };
    says(&patched(0, b"GGJT"), &["does not begin with GGUF"]);
    for version in [0u32, 1, 4, u32::MAX] {
        says(&patched(4, &version.to_le_bytes()), &["version"]);
    }
    says(&patched(4, &3u32.to_be_bytes()), &["big-endian"]);
    for count in [1 << 20, 1 << 40, u64::MAX] {
        says(&patched(8, &u64::to_le_bytes(count)), &[&count.to_string(), "tensors"]);
        says(&patched(16, &u64::to_le_bytes(count)), &[&count.to_string(), "metadata pairs"]);
        // The first key's length.
        says(&patched(24, &u64::to_le_bytes(count)), &[&count.to_string(), "metadata key"]);
    }
}

#[test]
fn values_that_lie() {
    let set = |kind: u32, value: Vec<u8>| refused(&text_files("q4_0", |parts| parts.set("evil", kind, value)));
    let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    for count in [1 << 24, 1 << 40, u64::MAX] {
        says(&set(8, u64::to_le_bytes(count).to_vec()), &[&count.to_string()]);
        for kind in [0, 3, 6, 8, 12] {
            says(&set(9, array(kind, count)), &["evil", &count.to_string()]);
        }
    }
    says(&set(13, vec![0; 8]), &["evil", "type 13"]);
    says(&set(9, array(9, 1)), &["evil", "type 9"]);
    says(&set(9, array(99, 0)), &["evil", "type 99"]);
    says(&set(8, [&2u64.to_le_bytes()[..], b"\xff\xfe"].concat()), &["evil", "UTF-8"]);
    let twice = text_files("q4_0", |parts| {
        let pair = parts.pairs[0].clone();
        parts.pairs.push(pair);
    });
    says(&refused(&twice), &["twice"]);
    let long = text_files("q4_0", |parts| parts.set(&"k".repeat(65_536), 0, vec![0]));
    says(&refused(&long), &["65536"]);
}

#[test]
fn tensors_that_lie() {
    const Q: &str = "blk.0.attn_q.weight";
    let changed =
        |change: &dyn Fn(&mut super::parts::Tensor)| refused(&text_files("q4_0", |parts| change(parts.tensor(Q))));
    says(&changed(&|tensor| tensor.offset = Some(0)), &["overlaps"]);
    says(&changed(&|tensor| tensor.offset = Some(8)), &[Q, "not a multiple of 32"]);
    for offset in [1 << 30, u64::MAX - 31] {
        says(&changed(&|tensor| tensor.offset = Some(offset)), &[Q, "truncated"]);
    }
    for (kind, name) in [(16, "IQ"), (22, "IQ"), (31, "unknown"), (u32::MAX, "unknown")] {
        says(&changed(&|tensor| tensor.kind = kind), &[Q, name]);
    }
    // Longer than before: the following tensor overlaps.
    says(&changed(&|tensor| tensor.kind = 14), &[Q, "overlaps"]);
    for dims in
        [vec![256, 0], vec![0], vec![], vec![256; 5], vec![33, 128], vec![1 << 40, 1 << 40], vec![u64::MAX / 32 * 32]]
    {
        says(&changed(&|tensor| tensor.dims.clone_from(&dims)), &[Q]);
    }
    says(&changed(&|tensor| tensor.dims = vec![128, 256]), &[Q, "[256, 128]", "[128, 256]"]);
    says(&changed(&|tensor| tensor.dims = vec![256, 64]), &[Q, "[64, 256]"]);
    says(&changed(&|tensor| tensor.dims = vec![256, 128, 1]), &[Q, "[1, 128, 256]"]);
    says(&changed(&|tensor| tensor.name = "blk.0.attn_q.bias".into()), &[Q, "missing"]);
    says(&changed(&|tensor| tensor.name = "output_norm.weight".into()), &["output_norm.weight", "twice"]);
    says(&changed(&|tensor| tensor.name = "n".repeat(2000)), &["2000"]);
}

#[test]
fn missing_and_unknown_tensors() {
    for name in ["token_embd.weight", "output_norm.weight", "blk.0.ffn_down.weight", "blk.0.attn_norm.weight"] {
        let error = refused(&text_files("q4_0", |parts| parts.tensors.retain(|tensor| tensor.name != name)));
        says(&error, &[name, "missing"]);
    }
    for name in ["v.patch_embd.weight", "mm.1.weight", "mm.input_norm.weight", "v.blk.1.ln2.weight"] {
        let error = refused(&files("q4_0", |_| (), |parts| parts.tensors.retain(|tensor| tensor.name != name)));
        assert_says(&error, "invalid-checkpoint", &["mmproj.gguf", name, "missing"]);
    }
    for name in ["blk.0.attn_q.bias", "rope_freqs.weight", "blk.1.attn_norm.weight", "blk.0.ffn_gate_exps.weight"] {
        let error = refused(&text_files("q4_0", |parts| {
            let mut other = parts.tensor("output_norm.weight").clone();
            other.name = name.into();
            parts.tensors.push(other);
        }));
        says(&error, &[name, "unknown"]);
    }
    let error = refused(&text_files("q4_0", |parts| {
        let tokens: Vec<u8> = (0..305).flat_map(|id| text(&format!("t{id}"))).collect();
        parts.set("tokenizer.ggml.tokens", 9, [&8u32.to_le_bytes()[..], &305u64.to_le_bytes(), &tokens].concat());
    }));
    says(&error, &["305 tokens", "304 rows"]);
    let mut absent = text_files("q4_0", |_| ());
    absent.0.remove("mmproj.gguf");
    assert_says(&refused(&absent), "invalid-checkpoint", &["mmproj.gguf", "no such file"]);
}

#[test]
fn numbers_that_cannot_be_stored() {
    let norm = |bits: u32| {
        refused(&text_files("q4_0", |parts| {
            parts.tensor("output_norm.weight").data[8..12].copy_from_slice(&bits.to_le_bytes());
        }))
    };
    says(&norm(f32::NAN.to_bits()), &["output_norm.weight", "element 2", "NaN"]);
    says(&norm(f32::INFINITY.to_bits()), &["output_norm.weight", "inf"]);
    let large = text_files("bf16", |parts| {
        parts.tensor("blk.0.ffn_up.weight").data[..2].copy_from_slice(&half::bf16::from_f32(1e6).to_le_bytes());
    });
    says(&refused(&large), &["blk.0.ffn_up.weight", "too large"]);
    pack_as(&large, &both(), Some(ocelli::layout::Layout::F32)).expect("f32 holds it");
    for (name, tensor, at) in [
        ("q4_0", "blk.0.attn_q.weight", (256 / 32 * 3 + 2) * 18),
        ("q8_0", "blk.0.attn_q.weight", (256 / 32 * 3 + 2) * 34),
        ("q4_k", "blk.0.attn_q.weight", 3 * 144),
        ("q4_k", "blk.0.ffn_up.weight", 3 * 144 + 2),
        ("q5_k", "blk.0.attn_q.weight", 3 * 176 + 2),
        ("q6_k", "blk.0.attn_q.weight", 3 * 210 + 208),
    ] {
        for bits in [0x7c00u16, 0xfc00, 0x7e01] {
            let damaged = text_files(name, |parts| {
                parts.tensor(tensor).data[at..at + 2].copy_from_slice(&bits.to_le_bytes());
            });
            says(&refused(&damaged), &[tensor, "row 3", "scale"]);
        }
    }
    // A vector in blocks, which no converter writes.
    let blocks = text_files("q4_0", |parts| {
        let norm = parts.tensor("output_norm.weight");
        (norm.kind, norm.data) = (8, vec![0; 256 / 32 * 34]);
    });
    says(&refused(&blocks), &["output_norm.weight", "blocks"]);
}

#[test]
fn mutated_files_give_typed_errors() {
    let whole = read("q4_0.gguf");
    let header = whole.len() - Parts::of(&whole).tensors.iter().map(|tensor| tensor.data.len()).sum::<usize>();
    let mut random = XorShift(0xfeed);
    let mut codes = std::collections::BTreeMap::new();
    for _ in 0..5000 {
        let mut bytes = whole[..header].to_vec();
        mutate(&mut bytes, &mut random);
        bytes.extend(&whole[header..]);
        let code = match pack(&raw(bytes)) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        *codes.entry(code).or_insert(0) += 1;
    }
    println!("{codes:?}");
    let expected = ["invalid-checkpoint", "ok", "tokenizer", "unsupported-architecture"];
    assert!(codes.keys().all(|code| expected.contains(code)), "{codes:?}");
    assert!(codes.len() >= 3, "the mutations reach everything: {codes:?}");
}
