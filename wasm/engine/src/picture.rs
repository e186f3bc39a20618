//! Pictures from JavaScript: encoded files, which the pictures' module reads, or pixels that the browser decoded.

use std::cell::RefCell;

use js_sys::{Array, Function, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use ocelli::engine::{Detail, Picture};
use ocelli::error::{Error, Result};
use ocelli::image::Rgb8;
use wasm_shared::{JsResult, error_object, field};

thread_local! {
    /// The worker's function. The worker loads it before it passes a picture file.
    static DECODE: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Sets `decodePicture` of the pictures' module.
pub(crate) fn set(decode: Function) {
    DECODE.set(Some(decode));
}

/// Implements [`ocelli::image::Decode`].
pub(crate) fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    let call = || -> JsResult<Rgb8> {
        let decode = DECODE.with_borrow(Clone::clone).ok_or_else(|| JsValue::from("no decoder was set"))?;
        let decoded = decode.call2(&JsValue::NULL, &Uint8Array::from(bytes), &limit_megapixels.into())?;
        let pixels = Uint8Array::new(&field(&decoded, "pixels")).to_vec(); // [height, width, 3]
        let side = |name: &str| side(&field(&decoded, name)).map_err(error_object);
        Ok(Rgb8 { width: side("width")?, height: side("height")?, pixels })
    };
    let decoded = call().map_err(|thrown| fault(&thrown))?;
    decoded.check()?;
    Ok(decoded)
}

/// Converts an exception of the pictures' module. One without a known code is a bug.
fn fault(thrown: &JsValue) -> Error {
    let detail = field(thrown, "detail");
    let number = |name: &str| field(&detail, name).as_f64().unwrap_or_default() as u32;
    match field(thrown, "code").as_string().as_deref() {
        Some("invalid-image") => {
            Error::InvalidImage { reason: field(&detail, "reason").as_string().unwrap_or_default() }
        }
        Some("image-too-large") => Error::ImageTooLarge {
            width: number("width"),
            height: number("height"),
            limit_megapixels: number("limit_megapixels"),
        },
        _ => Error::Internal { detail: format!("the pictures' module threw {thrown:?}") },
    }
}

/// Converts pictures, each a `Uint8Array` of an encoded file or `{ width, height, rgba }`; `details` has the detail of each.
pub(crate) fn pictures_from_js(pictures: &Array, details: &[Detail]) -> Result<Vec<Picture>> {
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
    Ok(Picture::rgb(Rgb8::from_rgba(side(&field("width")?)?, side(&field("height")?)?, &rgba)?))
}

fn side(value: &JsValue) -> Result<u32> {
    let side = value.as_f64().filter(|side| side.fract() == 0.0 && (1.0..=65_536.0).contains(side));
    // The range check above makes the conversion exact.
    side.map(|side| side as u32).ok_or_else(not_a_picture)
}

fn not_a_picture() -> Error {
    Error::InvalidImage { reason: "expected encoded bytes or { width, height, rgba }".into() }
}
