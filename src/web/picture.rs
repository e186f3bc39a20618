//! Pictures from JavaScript: encoded files, or pixels that the browser decoded.

use std::io::Cursor;

use image::{ImageFormat, ImageReader};
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::engine::{Detail, Picture};
use crate::error::{Error, Result};
use crate::image::Rgb8;

/// `[width, height]` of a PNG, JPEG or WebP file, read from its header before any EXIF rotation; nothing for other bytes.
#[wasm_bindgen(js_name = pictureSize)]
pub fn picture_size(bytes: &[u8]) -> Option<Vec<u32>> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    if !matches!(reader.format()?, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
        return None;
    }
    let (width, height) = reader.into_dimensions().ok()?;
    Some(vec![width, height])
}

/// Each element a `Uint8Array` of an encoded file, or `{ width, height, rgba }`; `details` has what is asked for each.
pub(super) fn pictures_from_js(pictures: &Array, details: &[Detail]) -> Result<Vec<Picture>> {
    let detail = |index: usize| details.get(index).copied().unwrap_or_default();
    let shown = |(index, picture): (usize, JsValue)| Ok(picture_from_js(&picture)?.at(detail(index)));
    pictures.iter().enumerate().map(shown).collect()
}

fn picture_from_js(value: &JsValue) -> Result<Picture> {
    if let Some(encoded) = value.dyn_ref::<Uint8Array>() {
        return Ok(Picture::encoded(encoded.to_vec()));
    }
    let field = |name: &str| Reflect::get(value, &name.into()).map_err(|_| not_a_picture());
    let rgba = Uint8Array::new(&field("rgba")?).to_vec(); // [height, width, 4]
    Rgb8::from_rgba(side(&field("width")?)?, side(&field("height")?)?, &rgba).map(Picture::rgb)
}

fn side(value: &JsValue) -> Result<u32> {
    let side = value.as_f64().filter(|side| side.fract() == 0.0 && (1.0..=65_536.0).contains(side));
    // The range check above makes the conversion exact.
    side.map(|side| side as u32).ok_or_else(not_a_picture)
}

fn not_a_picture() -> Error {
    Error::InvalidImage { reason: "expected encoded bytes or { width, height, rgba }".into() }
}
