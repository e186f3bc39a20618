//! What `processor_config.json` or the older `preprocessor_config.json` say about pictures.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::weights::hf::fields::Fields;

const ARCHITECTURE: &str = "PixtralImageProcessor";

/// Picture preprocessing, as far as it may differ between models.
#[derive(Debug, Clone)]
pub(super) struct Processor {
    /// Longest edge; `None` if no file speaks of pictures.
    pub(super) longest_edge: Option<usize>,
    /// Mean of each channel.
    pub(super) mean: [f32; 3],
    /// Standard deviation of each channel.
    pub(super) std: [f32; 3],
    /// The strings of the picture tokens: image, row end, end.
    pub(super) tokens: [String; 3],
    /// Patch and merge sizes the processor counts tokens with, and the file that says so.
    patch_size: Option<usize>,
    merge_size: Option<usize>,
    file: String,
}

impl Default for Processor {
    fn default() -> Self {
        Self {
            longest_edge: None,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            tokens: ["[IMG]", "[IMG_BREAK]", "[IMG_END]"].map(String::from),
            patch_size: None,
            merge_size: None,
            file: String::new(),
        }
    }
}

impl Processor {
    /// Reads the processor's fields, then those of its picture half: `nested`, else the contents of the older file.
    pub(super) fn read(whole: Option<Fields<'_>>, older: Option<Fields<'_>>) -> Result<Self> {
        let mut this = Self::default();
        let mut images = older;
        if let Some(whole) = whole {
            this.file = whole.file.into();
            this.patch_size = whole.side("patch_size")?;
            this.merge_size = whole.size("spatial_merge_size")?;
            for (token, key) in this.tokens.iter_mut().zip(["image_token", "image_break_token", "image_end_token"]) {
                if let Some(text) = whole.text(key)? {
                    *token = text.into();
                }
            }
            if let Some(nested) = whole.get("image_processor") {
                images = Some(Fields::new(whole.file, "image_processor.", nested)?);
            }
        }
        if let Some(images) = images {
            this.read_images(images)?;
        }
        Ok(this)
    }

    fn read_images(&mut self, images: Fields<'_>) -> Result<()> {
        for key in ["do_resize", "do_rescale", "do_normalize"] {
            if images.flag(key)? == Some(false) {
                return Err(images.unsupported(ARCHITECTURE, key, "is false"));
            }
        }
        if images.size("resample")?.is_some_and(|filter| filter != 3) {
            return Err(images.unsupported(ARCHITECTURE, "resample", "is not 3, bicubic"));
        }
        if images.number("rescale_factor")?.is_some_and(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
            return Err(images.unsupported(ARCHITECTURE, "rescale_factor", "is not 1/255"));
        }
        self.longest_edge = Some(longest_edge(images)?);
        self.mean = images.triple("image_mean")?.unwrap_or(self.mean);
        self.std = images.triple("image_std")?.unwrap_or(self.std);
        Ok(())
    }

    /// Checks that processor and model cut pictures into the same patches.
    pub(super) fn check_patches(&self, patch_size: usize, merge_size: usize) -> Result<()> {
        let differs = |key: &str, here: usize, model: usize| {
            let reason = format!("{key} is {here}, the model's is {model}");
            Err(Error::checkpoint(&self.file, "", reason))
        };
        match (self.patch_size, self.merge_size) {
            (Some(here), _) if here != patch_size => differs("patch_size", here, patch_size),
            (_, Some(here)) if here != merge_size => differs("spatial_merge_size", here, merge_size),
            _ => Ok(()),
        }
    }
}

/// `size`, a number or `{"longest_edge": number}`; 1024 where it is not given.
fn longest_edge(images: Fields<'_>) -> Result<usize> {
    match images.get("size") {
        Some(size @ Value::Object(_)) => {
            let size = Fields::new(images.file, "size.", size)?;
            size.size("longest_edge")?.ok_or_else(|| size.refuse("longest_edge", "is missing"))
        }
        _ => Ok(images.size("size")?.unwrap_or(1024)),
    }
}
