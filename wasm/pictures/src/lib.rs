//! Exports of the wasm module for the worker of the npm package. Exceptions are `{ code, message, detail }`.

#![cfg(target_arch = "wasm32")]
#![forbid(unsafe_code)]

use js_sys::{Object, Reflect, Uint8Array};
use ocelli_pictures::{PictureError, Rgb8};
use wasm_bindgen::prelude::*;

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Fails for frozen objects only.
        drop(Reflect::set(&object, &(*name).into(), value));
    }
    object.into()
}

fn error_object(error: PictureError) -> JsValue {
    let detail = match &error {
        PictureError::InvalidImage { reason } => object(&[("reason", reason.into())]),
        &PictureError::ImageTooLarge { width, height, limit_megapixels: limit } => {
            object(&[("width", width.into()), ("height", height.into()), ("limit_megapixels", limit.into())])
        }
    };
    object(&[("code", error.code().into()), ("message", error.to_string().into()), ("detail", detail)])
}

/// Runs once when the module is loaded: prints panics, which are always bugs, with their location.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// `[width, height]` in the header of a PNG, JPEG or WebP file, before its EXIF rotation; `None` for other bytes.
#[wasm_bindgen(js_name = pictureSize)]
pub fn picture_size(bytes: &[u8]) -> Option<Vec<u32>> {
    ocelli_pictures::size(bytes).map(|(width, height)| vec![width, height])
}

/// Decodes a PNG, JPEG or WebP file of at most this many megapixels.
///
/// # Errors
/// `invalid-image` and `image-too-large`.
#[wasm_bindgen(js_name = decodePicture, unchecked_return_type = "{ width: number; height: number; pixels: Uint8Array }")]
pub fn decode_picture(bytes: &[u8], limit_megapixels: u32) -> Result<JsValue, JsValue> {
    let Rgb8 { width, height, pixels } = ocelli_pictures::decode(bytes, limit_megapixels).map_err(error_object)?;
    let pixels = Uint8Array::from(pixels.as_slice()); // [height, width, 3]
    Ok(object(&[("width", width.into()), ("height", height.into()), ("pixels", pixels.into())]))
}

/// Size of the module's memory in bytes, which never shrinks.
#[wasm_bindgen(js_name = wasmMemory)]
pub fn wasm_memory() -> f64 {
    core::arch::wasm32::memory_size(0) as f64 * 65536.0
}
