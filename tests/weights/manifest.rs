//! Untrusted `model.json` files.

use std::collections::HashSet;

use ocelli::layout::Layout;
use ocelli::package::manifest::Manifest;
use serde_json::{Value, json};

use super::common::{XorShift, checkpoint, mutate, pack_sharded};

fn valid() -> Vec<u8> {
    let (_, files) = pack_sharded(&checkpoint("merge1"), Layout::Q4_0, 50_000).expect("a package");
    files.0["model.json"].to_vec()
}

/// Assumptions of the loader, checked independently of the parser.
fn assert_sound(manifest: &Manifest) {
    let total: u128 = manifest.shards.iter().map(|shard| u128::from(shard.bytes)).sum();
    let mut intervals = Vec::new();
    for tensor in &manifest.tensors {
        let specs = tensor.layout.planes(&tensor.shape).expect("a layout");
        assert_eq!(specs.len(), tensor.planes.len());
        for (place, spec) in tensor.planes.iter().zip(specs) {
            assert_eq!(place.bytes, spec.bytes);
            assert_eq!(place.offset % 256, 0);
            intervals.push((u128::from(place.offset), u128::from(place.offset) + u128::from(place.bytes)));
        }
    }
    intervals.sort_unstable();
    assert!(intervals.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    assert!(intervals.last().is_none_or(|last| last.1 <= total));
    let names: HashSet<_> = manifest.tensors.iter().map(|tensor| &tensor.name).collect();
    assert_eq!(names.len(), manifest.tensors.len());
    let map = manifest.shard_map();
    for shard in 0..manifest.shards.len() {
        let bytes = manifest.shards[shard].bytes;
        assert!(bytes <= 32 << 20 && !manifest.shards[shard].file.contains(['/', '\\']));
        assert!(map.writes(shard).all(|write| write.range_in_shard.end as u64 <= bytes));
    }
}

#[test]
fn mutated_bytes_never_panic() {
    let valid = valid();
    let compact = serde_json::to_vec(&serde_json::from_slice::<Value>(&valid).expect("JSON")).expect("JSON");
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for case in 0..5000 {
        let mut bytes = if case % 2 == 0 { valid.clone() } else { compact.clone() };
        mutate(&mut bytes, &mut random);
        if let Ok(manifest) = Manifest::parse(&bytes) {
            assert_sound(&manifest);
            accepted += 1;
        }
    }
    // A byte changed in a name or a hash is still a manifest; were none accepted, the mutations would test only the JSON parser.
    assert!(accepted > 50 && accepted < 4000, "{accepted} of 5000 were accepted");
}

/// Every place in a JSON value.
fn pointers(value: &Value, path: &str, out: &mut Vec<String>) {
    out.push(path.into());
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{path}/{i}"), out)),
        Value::Object(map) => map.iter().for_each(|(k, v)| pointers(v, &format!("{path}/{k}"), out)),
        _ => {}
    }
}

#[test]
fn hostile_values_in_every_place_never_panic() {
    let valid: Value = serde_json::from_slice(&valid()).expect("JSON");
    let mut places = Vec::new();
    pointers(&valid, "", &mut places);
    let hostile = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1),
        json!(7),
        json!(1u64 << 20),
        json!(1u64 << 32),
        json!(1u64 << 53),
        json!(u64::MAX),
        json!(0.5),
        json!(-1e300),
        json!(1e308),
        json!(""),
        json!("../x"),
        json!("f32"),
        json!([]),
        json!({}),
    ];
    let mut cases = 0;
    // All tensors are alike: the last few suffice.
    for place in places.iter().filter(|place| !place.starts_with("/tensors/") || place.starts_with("/tensors/5")) {
        for value in &hostile {
            let mut changed = valid.clone();
            *changed.pointer_mut(place).expect("a place") = value.clone();
            if let Ok(manifest) = Manifest::parse(&serde_json::to_vec(&changed).expect("JSON")) {
                assert_sound(&manifest);
            }
            cases += 1;
        }
    }
    assert!(cases > 2000, "{cases} cases");
}

#[test]
fn each_fault_is_named() {
    let valid: Value = serde_json::from_slice(&valid()).expect("JSON");
    let tensors = valid["tensors"].as_array().expect("tensors");
    let index_of = |name: &str| tensors.iter().position(|tensor| tensor["name"] == name).expect(name);
    let (q_proj, norm, patch_conv) =
        (index_of("layers.0.self_attn.q_proj"), index_of("norm"), index_of("vision.patch_conv"));
    let at = |index: usize, rest: &str| format!("/tensors/{index}{rest}");
    let other_plane = valid["tensors"][q_proj + 1]["planes"][0]["offset"].clone();
    for (place, value, word) in [
        ("/format".into(), json!("gguf"), "format"),
        ("/version".into(), json!(2), "version is 2"),
        ("/quantization".into(), json!("q3_x"), "q3_x"),
        ("/config/text/hidden_size".into(), json!(0), "hidden_size"),
        ("/config/text/hidden_size".into(), json!(1u64 << 40), "hidden_size"),
        ("/config/text/intermediate_size".into(), json!(100), "shape"),
        ("/config/vision/patch_size".into(), json!(u64::MAX), "patch_size"),
        ("/config/vision/num_hidden_layers".into(), json!(u64::MAX), "num_hidden_layers"),
        ("/config/vision/num_hidden_layers".into(), json!(4), "vision.layers.3.attention_norm is missing"),
        ("/config/text/tie_word_embeddings".into(), json!(false), "lm_head is missing"),
        ("/config/text/layers".into(), json!(["full_attention"]), "unknown"),
        ("/config/vision/image_token_id".into(), json!(320), "picture token 320"),
        ("/chat/eos_token_ids".into(), json!([]), "eos_token_ids"),
        ("/chat/bos_token_id".into(), json!(320), "token 320"),
        ("/chat/template".into(), json!("chatml"), "chat.template is \"chatml\", this model knows mistral-v13"),
        ("/config/family".into(), json!("qwen9"), "qwen9"),
        ("/tokenizer/file".into(), json!("../tokenizer.json"), "plain file name"),
        ("/tokenizer/bytes".into(), json!(u64::MAX), "too many"),
        ("/tokenizer/sha256".into(), json!("00"), "sha256"),
        ("/shards/0/file".into(), json!("a/b.bin"), "plain file name"),
        ("/shards/0/file".into(), json!("..\\b.bin"), "plain file name"),
        ("/shards/0/file".into(), json!(""), "plain file name"),
        ("/shards/0/file".into(), json!("shard-0001.bin"), "named twice"),
        ("/shards/0/file".into(), json!("model.json"), "named twice"),
        ("/shards/0/bytes".into(), json!(0), "shard-0000.bin"),
        ("/shards/0/bytes".into(), json!(252), "shard-0000.bin: 252 bytes, not a multiple of 4 in 256"),
        ("/shards/0/bytes".into(), json!((32u64 << 20) + 4), "shard-0000.bin"),
        ("/shards/0/bytes".into(), json!(49_923), "multiple of 4"),
        ("/shards/0/sha256".into(), json!("G".repeat(64)), "sha256"),
        ("/shards".into(), json!([]), "end past"),
        (at(patch_conv, "/name"), json!("surprise"), "vision.patch_conv is missing"),
        (at(patch_conv, "/name"), json!("norm"), "named twice"),
        (at(q_proj, "/shape"), json!([128, 63]), "shape"),
        (at(q_proj, "/shape"), json!([u64::MAX, u64::MAX]), "shape"),
        (at(q_proj, "/shape"), json!([128]), "shape"),
        (at(q_proj, "/layout"), json!("f16"), "planes"),
        (at(q_proj, "/planes"), json!([]), "planes"),
        (at(q_proj, "/planes/0/bytes"), json!(4), "4 bytes"),
        (at(q_proj, "/planes/0/offset"), json!(u64::MAX - 255), "end past"),
        (at(q_proj, "/planes/0/offset"), json!(1), "multiple of 256"),
        (at(q_proj, "/planes/0/offset"), other_plane, "overlaps"),
        (at(norm, "/layout"), json!("q8_0"), "cannot be stored"),
    ] {
        let mut changed = valid.clone();
        *changed.pointer_mut(&place).expect("a place") = value.clone();
        let error = Manifest::parse(&serde_json::to_vec(&changed).expect("JSON")).expect_err(&place);
        assert!(error.to_string().contains(word), "{place} = {value}: {error}");
        assert!(error.to_string().contains("model.json"), "{error}");
    }
    // A plane that overlaps the end of its neighbour.
    let mut changed = valid.clone();
    let quants = &valid["tensors"][q_proj]["planes"][0];
    let end = quants["offset"].as_u64().expect("an offset") + quants["bytes"].as_u64().expect("a length");
    changed["tensors"][q_proj]["planes"][1]["offset"] = json!((end - 1) / 256 * 256);
    let error = Manifest::parse(&serde_json::to_vec(&changed).expect("JSON")).expect_err("an overlap");
    assert!(error.to_string().contains("overlaps"), "{error}");
    let mut extra = valid.clone();
    let mut stray = valid["tensors"][norm].clone();
    stray["name"] = json!("stray");
    extra["tensors"].as_array_mut().expect("tensors").push(stray);
    let error = Manifest::parse(&serde_json::to_vec(&extra).expect("JSON")).expect_err("an extra tensor");
    assert!(error.to_string().contains("stray"), "{error}");
}

#[test]
fn a_manifest_of_too_many_shards_is_refused() {
    let mut many: Value = serde_json::from_slice(&valid()).expect("JSON");
    let shard = |index| json!({"file": format!("s{index}"), "bytes": 256, "sha256": "0".repeat(64)});
    many["shards"] = (0..=1 << 16).map(shard).collect();
    let error = Manifest::parse(&serde_json::to_vec(&many).expect("JSON")).expect_err("too many shards");
    assert!(error.to_string().contains("65537 shards"), "{error}");
}

#[test]
fn a_manifest_survives_its_own_text() {
    let manifest = Manifest::parse(&valid()).expect("a manifest");
    assert_sound(&manifest);
    assert_eq!(Manifest::parse(&manifest.to_json().expect("JSON")).expect("a manifest"), manifest);
    assert!(manifest.shards.len() > 1);
    assert_eq!(manifest.total_bytes(), manifest.shards.iter().map(|shard| shard.bytes).sum::<u64>());
    assert!(manifest.tensor("norm").is_some() && manifest.tensor("lm_head").is_none());
    Manifest::parse(&vec![b' '; (16 << 20) + 1]).expect_err("too long");
}

/// Packages from before families existed are of the first family.
#[test]
fn a_package_without_a_family_is_of_mistral3() {
    let mut manifest: Value = serde_json::from_slice(&valid()).expect("JSON");
    manifest["config"].as_object_mut().expect("an object").remove("family").expect("a family");
    let read = Manifest::parse(&serde_json::to_vec(&manifest).expect("JSON")).expect("a manifest");
    assert_eq!(read.config.family(), "mistral3");
}
