//! Damaged and incomplete checkpoints: every error names file, tensor and reason, and no package is written.

use std::ops::ControlFlow;

use ocelli::import::hf::import;
use ocelli::layout::Layout;
use ocelli::package::writer::PackageWriter;
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::common::{MemorySink, Parts, checkpoint, options, pack, read_values, with_json, with_weights};
use crate::common::MemoryFiles;

const WEIGHTS: &str = "model.safetensors";
const Q_PROJ: &str = "model.layers.1.self_attn.q_proj.weight";
const NORM: &str = "model.norm.weight";

/// Imports and asserts that it fails without publishing anything.
fn refused(files: &MemoryFiles, layout: Layout) -> Error {
    let sink = MemorySink::default();
    let writer = PackageWriter::with_shard_bytes(sink.clone(), 4096);
    let result = pollster::block_on(import(files, writer, options(layout), |_| ControlFlow::Continue(())));
    let error = result.expect_err("a refusal");
    assert!(!*sink.published.lock().expect("no panic"), "{error}");
    assert!(!sink.files.lock().expect("no panic").contains_key("model.json"), "{error}");
    error
}

fn assert_names(error: &Error, parts: &[&str]) {
    assert_eq!(error.code(), "invalid-checkpoint", "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn truncated_files() {
    let whole = checkpoint("text_long");
    let len = whole.0[WEIGHTS].len();
    let header = u64::from_le_bytes(whole.0[WEIGHTS][..8].try_into().expect("8 bytes")) as usize;
    for cut in [0, 1, 7, 8, 9, 8 + header / 2, 8 + header, 8 + header + 1, len / 2, len - 1] {
        let mut files = whole.clone();
        files.0.insert(WEIGHTS.into(), whole.0[WEIGHTS][..cut].into());
        let error = refused(&files, Layout::Q4_0);
        assert_names(&error, &[WEIGHTS]);
        assert!(error.to_string().contains("truncated") || error.to_string().contains("malformed"), "{cut}: {error}");
    }
    let mut files = whole.clone();
    files.0.insert(WEIGHTS.into(), [&whole.0[WEIGHTS][..], &[0; 4]].concat().into());
    assert_names(&refused(&files, Layout::Q4_0), &[WEIGHTS, "4 bytes belong to no tensor"]);
}

#[test]
fn header_lengths_that_lie() {
    for claimed in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001, 2_000_000] {
        let mut files = checkpoint("text_long");
        let mut bytes = files.0[WEIGHTS].to_vec();
        bytes[..8].copy_from_slice(&claimed.to_le_bytes());
        files.0.insert(WEIGHTS.into(), bytes.into());
        assert_names(&refused(&files, Layout::F32), &[WEIGHTS, &claimed.to_string()]);
    }
}

#[test]
fn missing_and_misshapen_tensors() {
    for name in [Q_PROJ, NORM, "model.embed_tokens.weight", "model.layers.3.mlp.down_proj.weight"] {
        let files = with_weights("text_long", |parts| {
            let entry = parts.header.remove(name).expect("a tensor");
            parts.header.insert("spare".into(), entry);
        });
        // The first spelling represents all.
        let suffix = name.strip_prefix("model.").expect("a prefix");
        assert_names(&refused(&files, Layout::Q8_0), &[WEIGHTS, suffix, "missing"]);

        let files = with_weights("text_long", |parts| {
            let shape = parts.header[name]["shape"].as_array_mut().expect("a shape");
            shape.reverse();
            shape.push(json!(1));
        });
        assert_names(&refused(&files, Layout::Q8_0), &[WEIGHTS, name, "shape"]);
    }
    let conv = "vision_tower.patch_conv.weight";
    let files = with_weights("merge1", |parts| {
        let [out, channels, ..] =
            <[Value; 4]>::try_from(parts.header[conv]["shape"].as_array().expect("a shape").clone()).expect("four");
        parts.header[conv]["shape"] = json!([out, channels, 8, 32]);
    });
    assert_names(&refused(&files, Layout::Q8_0), &[conv, "shape"]);
    let files = with_json("untied", "config.json", |config| config["multimodal_projector_bias"] = json!(true));
    assert_names(&refused(&files, Layout::Q8_0), &["multi_modal_projector.linear_1.bias", "missing"]);
    let files = with_weights("untied", |parts| {
        let entry = parts.header.remove("lm_head.weight").expect("a head");
        parts.header.insert("spare".into(), entry);
    });
    assert_names(&refused(&files, Layout::Q8_0), &["lm_head.weight", "missing"]);
}

#[test]
fn numbers_that_are_none() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for name in [Q_PROJ, NORM] {
            for layout in Layout::from_numbers() {
                let files = with_weights("text_long", |parts| {
                    let range = parts.range(name);
                    parts.data[range.end - 4..range.end].copy_from_slice(&bad.to_le_bytes());
                });
                assert_names(&refused(&files, layout), &[WEIGHTS, name, &bad.to_string(), "not a finite number"]);
            }
        }
    }
    let files = with_weights("text_long", |parts| {
        let start = parts.range(Q_PROJ).start;
        parts.data[start..start + 4].copy_from_slice(&1e6f32.to_le_bytes());
    });
    assert_names(&refused(&files, Layout::F16), &[Q_PROJ, "1000000", "too large", "row 0"]);
    pack(&files, Layout::F32).expect("f32 holds it");
    pack(&files, Layout::Q8_0).expect("a scale of 7874 holds it");
}

#[test]
fn number_formats_that_are_not_read() {
    for (dtype, shape) in
        [("I32", json!([64])), ("F64", json!([32])), ("BOOL", json!([256])), ("F8_E4M3", json!([256]))]
    {
        let files = with_weights("text_long", |parts| {
            parts.header[NORM]["dtype"] = json!(dtype);
            parts.header[NORM]["shape"] = shape;
        });
        let error = refused(&files, Layout::Q4_0);
        assert_names(&error, &[WEIGHTS, NORM]);
    }
    let files = with_weights("text_long", |parts| parts.header[NORM]["dtype"] = json!("I32"));
    assert_names(&refused(&files, Layout::Q4_0), &[WEIGHTS, NORM, "I32"]);
    let files = with_weights("text_long", |parts| parts.header[NORM]["dtype"] = json!("X7"));
    assert_names(&refused(&files, Layout::Q4_0), &[WEIGHTS, NORM, "X7"]);
    let files = with_weights("text_long", |parts| {
        parts.header[NORM]["dtype"] = json!("F8_E5M2");
        parts.header[NORM]["shape"] = json!([256]);
    });
    assert_names(&refused(&files, Layout::Q4_0), &[WEIGHTS, NORM, "shape"]);
}

#[test]
fn eight_bit_floats_need_one_scale() {
    const Q: &str = "language_model.model.layers.1.self_attn.q_proj.weight";
    const SCALE: &str = "language_model.model.layers.1.self_attn.q_proj.weight_scale_inv";
    let changed = |change: &dyn Fn(&mut Parts)| refused(&with_weights("fp8", change), Layout::Q8_0);
    let renamed = changed(&|parts| {
        let scale = parts.header.remove(SCALE).expect("a scale");
        parts.header.insert("elsewhere".into(), scale);
    });
    assert_names(&renamed, &[WEIGHTS, Q, SCALE, "missing"]);
    let two = changed(&|parts| {
        parts.header[SCALE]["dtype"] = json!("F8_E4M3");
        parts.header[SCALE]["shape"] = json!([2]);
    });
    assert_names(&two, &[WEIGHTS, SCALE, "[2]"]);
    for bits in [[0xc0, 0x7f], [0x80, 0x7f]] {
        let error = changed(&|parts| {
            let range = parts.range(SCALE);
            parts.data[range].copy_from_slice(&bits);
        });
        assert_names(&error, &[WEIGHTS, SCALE, "finite"]);
    }
    for nan in [0x7f, 0xff] {
        let error = changed(&|parts| {
            let first = parts.range(Q).start;
            parts.data[first + 70] = nan;
        });
        assert_names(&error, &[WEIGHTS, Q, "row 1", "NaN"]);
    }
    let five_two = changed(&|parts| parts.header[Q]["dtype"] = json!("F8_E5M2"));
    assert_names(&five_two, &[WEIGHTS, Q, "F8_E5M2"]);
}

#[test]
fn offsets_that_overlap_or_leave_gaps() {
    let shift = |by: i64| {
        with_weights("text_long", |parts| {
            let range = parts.range(Q_PROJ);
            let at = |x: usize| x as i64 + by;
            parts.header[Q_PROJ]["data_offsets"] = json!([at(range.start), at(range.end)]);
        })
    };
    assert_names(&refused(&shift(-4), Layout::F32), &[WEIGHTS, "overlap"]);
    assert_names(&refused(&shift(4), Layout::F32), &[WEIGHTS, "gap"]);
    let files = with_weights("text_long", |parts| {
        let other = parts.header["model.layers.0.self_attn.q_proj.weight"]["data_offsets"].clone();
        parts.header[Q_PROJ]["data_offsets"] = other;
    });
    assert_names(&refused(&files, Layout::F32), &[WEIGHTS, "overlap"]);
    for offsets in [json!([8, 4]), json!([0, u64::MAX]), json!([u64::MAX, 0]), json!([-1, 3]), json!([0]), json!("x")] {
        let files = with_weights("text_long", |parts| parts.header[Q_PROJ]["data_offsets"] = offsets);
        assert_names(&refused(&files, Layout::F32), &[WEIGHTS, Q_PROJ]);
    }
    for shape in [json!([u64::MAX, 2]), json!([0, 1u64 << 60, 1u64 << 60]), json!([1u64 << 62, 1u64 << 62]), json!([])]
    {
        let files = with_weights("text_long", |parts| parts.header[Q_PROJ]["shape"] = shape);
        assert_names(&refused(&files, Layout::F32), &[WEIGHTS, Q_PROJ, "shape"]);
    }
}

#[test]
fn a_convolution_of_hostile_shape() {
    // The product of the last three sizes overflows although the tensor is empty.
    let conv = "vision_tower.patch_conv.weight";
    let files = with_weights("merge1", |parts| {
        let range = parts.range(conv);
        parts.header[conv]["shape"] = json!([0, 1u64 << 40, 1u64 << 40, 1u64 << 40]);
        parts.header[conv]["data_offsets"] = json!([range.start, range.start]);
        let filler = json!({"dtype": "U8", "shape": [range.len()], "data_offsets": [range.start, range.end]});
        parts.header.insert("filler".into(), filler);
    });
    assert_names(&refused(&files, Layout::F32), &[conv, "shape"]);
}

#[test]
fn malformed_json() {
    let mut files = checkpoint("text_long");
    let mut bytes = files.0[WEIGHTS].to_vec();
    bytes[8] = b'[';
    files.0.insert(WEIGHTS.into(), bytes.into());
    assert_names(&refused(&files, Layout::F32), &[WEIGHTS, "malformed header"]);
    for file in ["config.json", "generation_config.json"] {
        let mut files = checkpoint("text_long");
        files.0.insert(file.into(), b"{\"a\": tru"[..].into());
        assert_names(&refused(&files, Layout::F32), &[file, "malformed"]);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut files = checkpoint("text_long");
    files.0.insert("config.json".into(), deep.into_bytes().into());
    assert_names(&refused(&files, Layout::F32), &["config.json", "malformed"]);
}

#[test]
fn a_tensor_twice_in_a_header() {
    let files = checkpoint("text_long");
    let bytes = &files.0[WEIGHTS];
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let twice = String::from_utf8(bytes[8..8 + len].to_vec()).expect("UTF-8").replacen(Q_PROJ, NORM, 1);
    let file = [&(twice.len() as u64).to_le_bytes(), twice.as_bytes(), &bytes[8 + len..]].concat();
    let mut files = files.clone();
    files.0.insert(WEIGHTS.into(), file.into());
    assert_names(&refused(&files, Layout::F32), &[WEIGHTS, NORM, "twice"]);
}

const INDEX: &str = "model.safetensors.index.json";

#[test]
fn index_files() {
    let damage = |change: &dyn Fn(&mut Value)| refused(&with_json("wide_heads", INDEX, change), Layout::Q4_0);
    let first = "language_model.model.embed_tokens.weight";
    let absent = damage(&|index| index["weight_map"][first] = json!("model-00009-of-00009.safetensors"));
    assert_names(&absent, &[INDEX, first, "model-00009-of-00009.safetensors"]);
    let elsewhere = damage(&|index| index["weight_map"][first] = json!("model-00002-of-00002.safetensors"));
    assert_names(&elsewhere, &["model-00002-of-00002.safetensors", first]);
    for path in ["../secret.safetensors", "/etc/passwd", "a\\b", ".hidden", "c:d"] {
        assert_names(&damage(&|index| index["weight_map"][first] = json!(path)), &[INDEX, first, "plain file name"]);
    }
    let forgotten = damage(&|index| drop(index["weight_map"].as_object_mut().expect("a map").remove(first)));
    assert_names(&forgotten, &[INDEX, first, "missing"]);
    assert_names(&damage(&|index| index["weight_map"] = json!(7)), &[INDEX, "malformed"]);
    assert_names(&damage(&|index| *index = json!({})), &[INDEX, "malformed"]);
    let mut files = checkpoint("wide_heads");
    files.0.remove(INDEX);
    assert_names(&refused(&files, Layout::Q4_0), &[WEIGHTS, INDEX]);
}

#[test]
fn tying_follows_the_weights() {
    let packed =
        |files: &MemoryFiles| -> Result<bool> { Ok(pack(files, Layout::F16)?.0.config.text().tie_word_embeddings) };
    assert!(packed(&checkpoint("text_long")).expect("a package"));
    let doubled = |flip: u8| {
        with_weights("text_long", |parts| {
            let range = parts.range("model.embed_tokens.weight");
            let mut head = parts.data[range].to_vec();
            *head.last_mut().expect("bytes") ^= flip;
            let entry = json!({"dtype": "F32", "shape": [384, 64], "data_offsets": [parts.data.len(), parts.data.len() + head.len()]});
            parts.header.insert("lm_head.weight".into(), entry);
            parts.data.extend(head);
        })
    };
    assert!(packed(&doubled(0)).expect("a package"), "a copy of the embedding is the embedding");
    assert!(!packed(&doubled(1)).expect("a package"), "a head of its own is kept, whatever the configuration says");
    assert!(!packed(&checkpoint("small31")).expect("a package"));
}

#[test]
fn a_projector_with_biases() {
    let mut files = with_weights("untied", |parts| {
        for name in ["linear_1", "linear_2"] {
            let start = parts.data.len();
            parts.data.extend((0..64u16).flat_map(|i| half::bf16::from_f32(f32::from(i)).to_le_bytes()));
            let entry = json!({"dtype": "BF16", "shape": [64], "data_offsets": [start, parts.data.len()]});
            parts.header.insert(format!("model.multi_modal_projector.{name}.bias"), entry);
        }
    });
    let config = with_json("untied", "config.json", |config| config["multimodal_projector_bias"] = json!(true));
    files.0.insert("config.json".into(), config.0["config.json"].clone());
    let (manifest, packed) = pack(&files, Layout::Q4_0).expect("a package");
    assert!(manifest.config.vision().is_some_and(|vision| vision.projector_bias));
    let package = pollster::block_on(ocelli::package::Package::open(packed)).expect("a package");
    let bias = read_values(&package, "projector.linear_2.bias");
    assert_eq!(bias, (0..64).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_fails_and_a_caller_that_stops() {
    let files = checkpoint("text_long");
    for fail_at in [0, 3] {
        let sink = MemorySink { fail_at: Some(fail_at), ..MemorySink::default() };
        let writer = PackageWriter::with_shard_bytes(sink.clone(), 8192);
        let result = pollster::block_on(import(&files, writer, options(Layout::F16), |_| ControlFlow::Continue(())));
        assert_eq!(result.expect_err("a full disk").code(), "io");
        assert!(!*sink.published.lock().expect("no panic"));
    }
    let sink = MemorySink::default();
    let mut seen = Vec::new();
    let result =
        pollster::block_on(import(&files, PackageWriter::new(sink.clone()), options(Layout::F16), |progress| {
            seen.push(progress);
            if seen.len() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }));
    assert_eq!(result.expect_err("a stop"), Error::Aborted);
    assert!(seen.len() == 5 && seen.iter().all(|p| p.total == 246_336 && p.done < p.total));
    assert!(seen.is_sorted_by_key(|p| p.done) && sink.files.lock().expect("no panic").is_empty());
}
