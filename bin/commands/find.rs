//! Places in a picture that a model finds: the question, the answer's format, and a copy of the picture with the places drawn in.
//!
//! Qwen3-VL and Qwen3.5 answer `[{"bbox_2d": [left, top, right, bottom], "label": ...}]` with whole numbers from 0 to 1000, relative to the
//! width and height of the upright picture (QwenLM/Qwen3-VL, `cookbooks/2d_grounding.ipynb`). `www/page/state/find.ts` asks the same.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ocelli::image::{Rgb8, decode};
use ocelli::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// Families that were trained to answer with coordinates.
const FAMILIES: [&str; 2] = ["qwen3_vl", "qwen3_5"];
/// The largest coordinate.
const WHOLE: u32 = 1000;
/// An answer has at most this many places, so that one of a model that repeats itself ends.
const MOST: u32 = 100;
/// The engine's own limit of a picture.
const MEGAPIXELS: u32 = 100;
/// Colours of a line and of its edges, which are seen on any picture.
const COLOURS: [[u8; 3]; 2] = [[255, 255, 255], [224, 0, 122]];
/// Thickness of a line as a part of the longer side.
const LINE: u32 = 300;

/// A box around something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    /// Left, top, right, bottom.
    bbox_2d: [u32; 4],
    label: String,
}

/// The question for things that are named in `what`, separated by commas.
///
/// # Errors
/// [`Error::InvalidRequest`] if nothing is named, or if a model of this family was not trained to give coordinates.
pub(super) fn question(what: &str, family: &str) -> Result<String> {
    if !FAMILIES.contains(&family) {
        let reason = format!(
            "models of the family {family} were not trained to give coordinates, only {}",
            FAMILIES.join(" and ")
        );
        return Err(Error::request("find", reason));
    }
    let names: Vec<&str> = what.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Error::request("find", "nothing to find is named"));
    }
    let names = names.join(", ");
    Ok(format!(
        "Locate every instance that belongs to the following categories: \"{names}\". Report bbox coordinates in JSON format."
    ))
}

/// The JSON schema of an answer, with keys in the order that the models were trained with.
pub(super) fn schema() -> Value {
    let number = json!({"type": "integer", "minimum": 0, "maximum": WHOLE});
    json!({
        "type": "array",
        "maxItems": MOST,
        "items": {
            "type": "object",
            "properties": {
                "bbox_2d": {"type": "array", "items": number, "minItems": 4, "maxItems": 4},
                "label": {"type": "string", "maxLength": 80},
            },
            "required": ["bbox_2d", "label"],
            "additionalProperties": false,
        },
    })
}

/// The places of an answer.
///
/// # Errors
/// [`Error::InvalidRequest`] for an answer that was cut before its end.
pub(super) fn places(answer: &str) -> Result<Vec<Found>> {
    serde_json::from_str(answer).map_err(|error| {
        Error::request("find", format!("the answer is no list of boxes ({error}); --max-tokens may be too small"))
    })
}

/// Writes the picture with its places as PNG.
///
/// # Errors
/// A picture that cannot be read, or a file that cannot be written.
pub(super) fn draw(picture: &[u8], places: &[Found], out: &Path) -> Result<()> {
    let mut picture = decode(picture, MEGAPIXELS)?;
    places.iter().for_each(|place| outline(&mut picture, place));
    let mut png = Vec::new();
    let Rgb8 { width, height, pixels } = &picture;
    let written = PngEncoder::new(&mut png).write_image(pixels, *width, *height, ExtendedColorType::Rgb8);
    written.map_err(|error| Error::Internal { detail: error.to_string() })?;
    std::fs::write(out, png).map_err(|error| Error::io(out.display(), &error))
}

/// Draws a box: a line whose outer edge is the box, between two white ones.
fn outline(picture: &mut Rgb8, place: &Found) {
    let (width, height) = (picture.width, picture.height);
    let line = (width.max(height) / LINE).max(2);
    let [x1, y1, x2, y2] = place.bbox_2d;
    // A model may name the corners in the other order.
    let (left, right) = (at(x1.min(x2), width), at(x1.max(x2), width));
    let (top, bottom) = (at(y1.min(y2), height), at(y1.max(y2), height));
    let edge = line.div_ceil(2);
    for (colour, [out, thick]) in COLOURS.into_iter().zip([[edge, line + 2 * edge], [0, line]]) {
        let (left, top) = (left.saturating_sub(out), top.saturating_sub(out));
        let (right, bottom) = ((right + out).min(width), (bottom + out).min(height));
        for y in top..bottom {
            let is_side = y >= top + thick && y + thick < bottom;
            let columns = if is_side {
                [left..(left + thick).min(right), right.saturating_sub(thick).max(left)..right]
            } else {
                [left..right, 0..0]
            };
            for x in columns.into_iter().flatten() {
                let start = 3 * (y as usize * width as usize + x as usize);
                picture.pixels[start..start + 3].copy_from_slice(&colour); // [3]
            }
        }
    }
}

/// The pixel at a coordinate of an answer.
fn at(coordinate: u32, pixels: u32) -> u32 {
    let scaled = u64::from(coordinate.min(WHOLE)) * u64::from(pixels) / u64::from(WHOLE);
    u32::try_from(scaled).unwrap_or(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_to_find() {
        let asked = question(" cat ,, red car", "qwen3_vl").expect("a question");
        assert!(asked.contains("categories: \"cat, red car\"."), "{asked}");
        assert_eq!(question(" , ", "qwen3_5").expect_err("nothing").code(), "invalid-request");
        assert!(question("cat", "mistral3").expect_err("no coordinates").to_string().contains("mistral3"));
    }

    #[test]
    fn answers_are_boxes() {
        let found = places(r#"[{"bbox_2d": [100, 200, 400, 500], "label": "cat"}]"#).expect("boxes");
        assert_eq!(found, [Found { bbox_2d: [100, 200, 400, 500], label: "cat".into() }]);
        assert_eq!(places("[]").expect("none"), []);
        for text in [
            "",
            "[",
            "{}",
            r#"[{"bbox_2d": [1, 2, 3], "label": "a"}]"#,
            r#"[{"bbox_2d": [-1, 2, 3, 4], "label": "a"}]"#,
        ] {
            assert_eq!(places(text).expect_err(text).code(), "invalid-request");
        }
    }

    #[test]
    fn a_box_is_drawn_where_the_answer_says() {
        let mut picture = Rgb8 { width: 200, height: 100, pixels: vec![0; 3 * 200 * 100] };
        outline(&mut picture, &Found { bbox_2d: [500, 800, 100, 200], label: String::new() });
        let pixel = |x: usize, y: usize| &picture.pixels[3 * (200 * y + x)..][..3]; // [3]
        let [white, line] = &COLOURS;
        for (x, y) in [(20, 20), (99, 20), (20, 79), (99, 79), (21, 50), (98, 50), (60, 21), (60, 78)] {
            assert_eq!(pixel(x, y), line, "{x}, {y}");
        }
        for (x, y) in [(19, 50), (100, 50), (60, 19), (60, 80), (22, 50), (97, 50)] {
            assert_eq!(pixel(x, y), white, "{x}, {y}");
        }
        for (x, y) in [(60, 50), (17, 50), (103, 50), (60, 17), (60, 83), (25, 25)] {
            assert_eq!(pixel(x, y), [0, 0, 0], "{x}, {y}");
        }
    }

    #[test]
    fn boxes_at_the_edges_and_without_a_size_are_drawn() {
        let mut picture = Rgb8 { width: 3, height: 2, pixels: vec![7; 18] };
        for bbox_2d in [[0, 0, 1000, 1000], [0, 0, 0, 0], [1000, 1000, 1000, 1000], [999, 0, 1000, 1], [u32::MAX; 4]] {
            outline(&mut picture, &Found { bbox_2d, label: String::new() });
        }
        assert!(picture.check().is_ok());
    }
}
