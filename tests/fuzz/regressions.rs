//! Bugs found by fuzzing: one test each.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use ocelli::Error;
use ocelli::image::decode;
use serde_json::{Value, json};

use super::memory::measured;
use super::seeds::{animated, fixture};
use super::{MIB, targets};

/// Offset of the width in a lossy WebP frame; the height follows it.
fn frame_size(webp: &[u8]) -> usize {
    webp.windows(3).position(|bytes| bytes == [0x9d, 0x01, 0x2a]).expect("a lossy frame") + 3
}

fn with_size(webp: &[u8], at: usize, side: u16) -> Vec<u8> {
    let mut webp = webp.to_vec();
    webp[at..at + 2].copy_from_slice(&side.to_le_bytes());
    webp[at + 2..at + 4].copy_from_slice(&side.to_le_bytes());
    webp
}

fn refused_for_less_than(limit: u64, picture: &[u8], why: &str) {
    let (result, taken) = measured(("regression", 0), || decode(picture, 100));
    match result {
        Err(Error::InvalidImage { reason }) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(taken.peak < limit, "{taken:?}");
}

/// 298 bytes took 400 MB: the decoder trusted the frame before it read the picture's size.
#[test]
fn a_webp_frame_larger_than_its_picture() {
    let still = fixture("images/lossy_alpha.webp");
    assert!(decode(&still, 100).is_ok());
    refused_for_less_than(MIB, &with_size(&still, frame_size(&still), 0x3fff), "another size");
    // A frame of an animation may have its own size within the picture's.
    let mut moving = animated(&still);
    assert!(decode(&moving, 100).is_ok());
    let header = moving.windows(4).position(|name| name == b"ANMF").expect("a frame") + 8;
    moving[header + 6..header + 12].copy_from_slice(&[0xfe, 0x3f, 0, 0xfe, 0x3f, 0]);
    refused_for_less_than(MIB, &with_size(&moving, frame_size(&moving), 0x3fff), "larger than the picture");
}

/// The decoder panicked: it applied the alpha of a frame of the announced size to one of another size.
#[test]
fn an_animation_with_alpha_whose_frame_has_another_size() {
    let moving = animated(&fixture("images/lossy_alpha.webp"));
    for side in [0, 1, 44, 46, 2048] {
        refused_for_less_than(MIB, &with_size(&moving, frame_size(&moving), side), "another size");
    }
}

/// Resampling took 32 bytes for each pixel of a picture one pixel high: 3 GB within the limit of megapixels.
#[test]
fn a_picture_too_long_to_resample() {
    let png = |width| {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_luma8(width, 1).write_to(&mut bytes, ImageFormat::Png).expect("a picture");
        bytes.into_inner()
    };
    assert!(targets::picture(&png(65_536)).is_ok());
    refused_for_less_than(MIB, &png(65_537), "65537 x 1");
}

/// One high id in a small file took 100 MB: the texts of tokens were a list up to the highest id.
#[test]
fn a_small_vocabulary_with_a_high_id() {
    let mut file: Value = serde_json::from_slice(&fixture("checkpoints/fp8/tokenizer.json")).expect("JSON");
    let added = file["added_tokens"].as_array_mut().expect("a list");
    added.push(json!({"id": (1 << 22) - 1, "content": "[LAST]", "special": false}));
    let bytes = serde_json::to_vec(&file).expect("JSON");
    let (tokenizer, taken) = measured(("regression", 0), || ocelli::chat::Tokenizer::from_json(&bytes));
    let tokenizer = tokenizer.expect("a tokenizer");
    assert!(taken.peak < 2 * MIB, "{taken:?}");
    assert_eq!(tokenizer.vocab_size(), 1 << 22);
    assert_eq!(tokenizer.token_bytes((1 << 22) - 1), Some(&b"[LAST]"[..]));
    assert_eq!(tokenizer.token_bytes((1 << 22) - 2), None);
}

/// A tokenizer leaked its cache of words: up to 10,000 for each tokenizer that a thread had ever used.
#[test]
fn a_tokenizer_does_not_leak() {
    let bytes = fixture("checkpoints/fp8/tokenizer.json");
    let use_one = || {
        let tokenizer = ocelli::chat::Tokenizer::from_json(&bytes).expect("a fixture");
        (0..500).for_each(|i| assert!(tokenizer.encode_text(&format!("word{i}")).is_ok()));
    };
    use_one();
    let (_, taken) = measured(("regression", 0), || (0..3).for_each(|_| use_one()));
    assert!(taken.kept < 4096, "{taken:?}");
}

/// Text of a call that no grammar had constrained was cut within a character.
#[test]
fn a_call_without_the_text_after_its_arguments() {
    let text = "\n{\"name\": \"t\", \"arguments\": éa\0";
    assert_eq!(targets::calls(&[&[2, 0], text.as_bytes()].concat()), Ok(()));
}

/// Sums of stored usage overflowed.
#[test]
fn stored_usage_with_the_largest_numbers() {
    let line =
        format!("{{\"day\": \"2026-11-23\", \"key\": \"a\", \"requests\": {0}, \"prompt_tokens\": {0}}}\n", u64::MAX);
    assert_eq!(targets::usage(line.repeat(2).as_bytes()), Ok(()));
    let line = "{\"day\": \"2026-11-23\", \"key\": \"a\", \"seconds\": 1e308}\n";
    assert_eq!(targets::usage(line.repeat(9).as_bytes()), Ok(()));
}

/// The number of patches, or of tiles, overflowed before their side was refused.
#[test]
fn a_configuration_with_the_largest_side_of_a_picture() {
    let with_side = |config: &[u8], pointer: &str| {
        let mut config: Value = serde_json::from_slice(config).expect("JSON");
        *config.pointer_mut(pointer).expect("a side") = json!(1_u64 << 40);
        config.to_string().into_bytes()
    };
    let mllama = with_side(targets::tiny::MLLAMA_CONFIG, "/vision_config/image_size");
    let refused = targets::hf_settings(&[&mllama[..], b"{}"].join(&0));
    assert!(matches!(refused, Err(Error::UnsupportedArchitecture { .. })), "{refused:?}");

    let file = |name: &str| fixture(&format!("checkpoints/smolvlm_whole/{name}"));
    let pictures = with_side(&file("preprocessor_config.json"), "/size/longest_edge");
    let pictures = [&br#"{"image_processor": "#[..], &pictures, b"}"].concat();
    let parts = [file("config.json"), file("tokenizer.json"), file("generation_config.json"), pictures];
    let refused = targets::hf_settings(&parts.join(&0));
    assert!(matches!(refused, Err(Error::UnsupportedArchitecture { .. })), "{refused:?}");
}
