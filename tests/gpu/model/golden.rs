//! Results of `transformers` for the fixture checkpoints.

use ocelli::api::ScoreRequest;
use ocelli::engine::{Picture, Prompt};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::packages::folder;

/// One case of a checkpoint.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) prompt: Prompt,
    pub(crate) pictures: Vec<Picture>,
    pub(crate) input_ids: Vec<u32>,
    pub(crate) greedy: Vec<u32>,
    pub(crate) logits: Vec<f32>,
}

/// The cases of a checkpoint. `quant` is empty for the weights as stored, otherwise the layout in which they were quantised.
pub(crate) fn cases(checkpoint: &str, quant: &str) -> Vec<Case> {
    let folder = folder(checkpoint);
    let list: Value = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let suffix = if quant.is_empty() { String::new() } else { format!("_{quant}") };
    let bytes = std::fs::read(folder.join(format!("expected{suffix}.safetensors"))).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let wanted = |case: &&Value| quant.is_empty() || case["name"] == list["quant_case"];
    list["cases"].as_array().unwrap().iter().filter(wanted).map(|case| read_case(checkpoint, case, &expected)).collect()
}

fn read_case(checkpoint: &str, case: &Value, expected: &SafeTensors<'_>) -> Case {
    let name = case["name"].as_str().unwrap().to_owned();
    let ScoreRequest { prompt, picture_urls, .. } = ScoreRequest::from_json(&case["request"]).expect("request");
    let picture = |url: &String| Picture::encoded(std::fs::read(folder(checkpoint).join(url)).unwrap());
    let ids = |tensor: &str| {
        let view = expected.tensor(&format!("{name}.{tensor}")).unwrap();
        view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as u32).collect()
    };
    let logits = expected.tensor(&format!("{name}.logits")).unwrap();
    Case {
        prompt,
        pictures: picture_urls.iter().map(picture).collect(),
        input_ids: ids("input_ids"),
        greedy: ids("greedy"),
        logits: logits.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        name,
    }
}

/// The largest difference of two lists of numbers; NaN differs infinitely.
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let difference = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    a.iter().zip(b).map(difference).fold(0.0, f32::max)
}
