//! The container: versions, alignments, kinds of values, split files.

use ocelli::checkpoint::gguf::metadata::Value;
use ocelli::import::gguf::GgufModel;
use ocelli::import::tensors::ElementType;
use ocelli::layout::Layout;
use safetensors::Dtype;

use super::parts::{Parts, text};
use super::{assert_same_model, assert_says, both, files, pack, read, refused, text_files};
use crate::common::{MemoryFiles, MemorySource};

fn open(bytes: Vec<u8>) -> GgufModel<MemorySource> {
    let files = MemoryFiles([("a.gguf".to_owned(), bytes.into())].into());
    pollster::block_on(GgufModel::open(&files, "a.gguf")).expect("a model")
}

#[test]
fn values_of_every_type() {
    let numbers: [(u32, Vec<u8>, Value); 12] = [
        (0, vec![200], Value::Integer(200)),
        (1, vec![200], Value::Integer(-56)),
        (2, 50_000u16.to_le_bytes().into(), Value::Integer(50_000)),
        (3, (-2i16).to_le_bytes().into(), Value::Integer(-2)),
        (4, u32::MAX.to_le_bytes().into(), Value::Integer(u32::MAX.into())),
        (5, i32::MIN.to_le_bytes().into(), Value::Integer(i32::MIN.into())),
        (6, 1.5f32.to_le_bytes().into(), Value::Float(1.5)),
        (7, vec![1], Value::Flag(true)),
        (8, text("wörd"), Value::Text("wörd".into())),
        (10, u64::MAX.to_le_bytes().into(), Value::Integer(u64::MAX.into())),
        (11, (-9i64).to_le_bytes().into(), Value::Integer(-9)),
        (12, 2.25f64.to_le_bytes().into(), Value::Float(2.25)),
    ];
    let array = |kind: u32, values: &[Vec<u8>]| {
        [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &values.concat()].concat()
    };
    let mut parts = Parts { version: 3, alignment: 32, pairs: Vec::new(), tensors: Vec::new() };
    for (kind, bytes, _) in &numbers {
        parts.set(&format!("one.{kind}"), *kind, bytes.clone());
        parts.set(&format!("two.{kind}"), 9, array(*kind, &[bytes.clone(), bytes.clone()]));
        parts.set(&format!("none.{kind}"), 9, array(*kind, &[]));
    }
    let model = open(parts.bytes());
    let metadata = &model.metadata.values;
    for (kind, _, value) in numbers {
        assert_eq!(metadata.get(&format!("one.{kind}")), Some(&value));
        let (two, none) = match value {
            Value::Integer(x) => {
                let x = i64::try_from(x).unwrap_or(i64::MAX);
                (Value::Integers(vec![x, x]), Value::Integers(vec![]))
            }
            Value::Flag(x) => (Value::Integers(vec![x.into(); 2]), Value::Integers(vec![])),
            Value::Float(x) => (Value::Floats(vec![x; 2]), Value::Floats(vec![])),
            Value::Text(x) => (Value::Texts(vec![x; 2]), Value::Texts(vec![])),
            other => panic!("{other:?}"),
        };
        assert_eq!(metadata.get(&format!("two.{kind}")), Some(&two));
        assert_eq!(metadata.get(&format!("none.{kind}")), Some(&none));
    }
    assert_eq!(metadata.get("three"), None);
}

#[test]
fn tensors_are_where_gguf_py_put_them() {
    let bytes = read("q4_k.gguf");
    let parts = Parts::of(&bytes);
    let model = open(bytes.clone());
    assert_eq!(model.tensors.iter().count(), parts.tensors.len());
    for (name, info) in model.tensors.iter() {
        let tensor = parts.tensors.iter().find(|tensor| tensor.name == name).expect(name);
        let shape: Vec<u64> = info.shape.iter().rev().map(|&size| size as u64).collect();
        assert_eq!(shape, tensor.dims, "{name}");
        assert_eq!(bytes[info.range.start as usize..info.range.end as usize], tensor.data, "{name}");
    }
    let kind = |name: &str| model.tensors.iter().find(|(other, _)| *other == name).expect(name).1.kind;
    assert_eq!(kind("blk.0.attn_q.weight"), ElementType::Blocks(Layout::Q4K));
    assert_eq!(kind("blk.0.attn_v.weight"), ElementType::Blocks(Layout::Q6K));
    assert_eq!(kind("blk.0.attn_output.weight"), ElementType::Blocks(Layout::Q8_0), "128 columns are no super-block");
    assert_eq!(kind("blk.0.attn_norm.weight"), ElementType::Plain(Dtype::F32));
}

#[test]
fn versions_alignments_and_order_change_nothing() {
    let plain = pack(&text_files("q4_k", |_| ())).expect("a package");
    for (version, alignment, reversed) in [(2, 32, false), (3, 256, false), (3, 4096, true), (2, 8, true)] {
        let change = |parts: &mut Parts| {
            (parts.version, parts.alignment) = (version, alignment);
            parts.set_u32("general.alignment", alignment as u32);
            if reversed {
                parts.tensors.reverse();
                parts.pairs.reverse();
            }
        };
        let changed = pack(&files("q4_k", change, change)).expect("a package");
        if reversed {
            assert_same_model(changed, plain.clone());
        } else {
            assert_eq!((&changed.0, &changed.1.0), (&plain.0, &plain.1.0), "version {version}, alignment {alignment}");
        }
    }
    for alignment in [0, 3, 33, u32::MAX] {
        let error = refused(&text_files("q4_k", |parts| parts.set_u32("general.alignment", alignment)));
        assert_says(&error, "invalid-checkpoint", &["general.alignment", &alignment.to_string()]);
    }
}

/// The text model in three parts, after changes to each.
fn split(change: impl Fn(usize, &mut Parts)) -> MemoryFiles {
    let mut all = files("q4_k", |_| (), |_| ());
    let whole = Parts::of(&all.0.remove("text.gguf").expect("the text model"));
    for part in 0..3 {
        let mut parts = Parts { pairs: Vec::new(), tensors: Vec::new(), ..whole.clone() };
        if part == 0 {
            parts.pairs.clone_from(&whole.pairs);
        }
        parts.tensors = whole.tensors.iter().skip(part).step_by(3).cloned().collect();
        parts.set("split.no", 2, (part as u16).to_le_bytes().into());
        parts.set("split.count", 2, 3u16.to_le_bytes().into());
        parts.set("split.tensors.count", 5, (whole.tensors.len() as i32).to_le_bytes().into());
        change(part, &mut parts);
        all.0.insert(format!("m-0000{}-of-00003.gguf", part + 1), parts.bytes().into());
    }
    all
}

#[test]
fn split_files_are_one_model() {
    let names = |text: &str| super::GgufImport { text: text.into(), ..both() };
    let first = names("m-00001-of-00003.gguf");
    let plain = pack(&text_files("q4_k", |_| ())).expect("a package");
    assert_same_model(super::pack_as(&split(|_, _| ()), &first, None).expect("a package"), plain);

    let refused = |files: &MemoryFiles, names: &super::GgufImport| {
        super::pack_as(files, names, None).map(drop).expect_err("a refusal")
    };
    let says = |error, parts: &[&str]| assert_says(&error, "invalid-checkpoint", parts);
    says(refused(&split(|_, _| ()), &names("m-00002-of-00003.gguf")), &["m-00002", "not the first part"]);
    let mut missing = split(|_, _| ());
    missing.0.remove("m-00003-of-00003.gguf");
    says(refused(&missing, &first), &["m-00003-of-00003.gguf", "no such file"]);
    let mut renamed = split(|_, _| ());
    let part = renamed.0["m-00001-of-00003.gguf"].clone();
    renamed.0.insert("m.gguf".into(), part);
    says(refused(&renamed, &names("m.gguf")), &["m.gguf", "-00001-of-00003.gguf"]);
    let wrong = split(|part, parts| {
        if part == 2 {
            parts.set("split.no", 2, vec![1, 0]);
        }
    });
    says(refused(&wrong, &first), &["m-00003", "not part 3 of 3"]);
    let fewer = split(|part, parts| {
        if part == 1 {
            parts.tensors.pop();
        }
    });
    says(refused(&fewer, &first), &["promises 11 tensors, 10 are there"]);
    let twice = split(|_, parts| {
        let mut tensor = Parts::of(&read("q4_k.gguf")).tensors.swap_remove(0);
        tensor.name = "again".into();
        parts.tensors.push(tensor);
    });
    says(refused(&twice, &first), &["again", "another part"]);
    let many = split(|_, parts| parts.set("split.count", 10, u64::MAX.to_le_bytes().into()));
    says(refused(&many, &first), &["parts"]);
}
