//! Errors of reading pictures, as data.

/// The crate's result type.
pub type Result<T> = std::result::Result<T, PictureError>;

/// An error of reading a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The bytes are not a readable picture.
    #[error("not a readable picture: {reason}")]
    InvalidImage {
        /// Message of the decoder.
        reason: String,
    },
    /// The picture exceeds the limit of pixels.
    #[error("the picture is {width} x {height}, more than the limit of {limit_megapixels} megapixels")]
    ImageTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in millions of pixels.
        limit_megapixels: u32,
    },
}

impl PictureError {
    /// The stable name of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidImage { .. } => "invalid-image",
            Self::ImageTooLarge { .. } => "image-too-large",
        }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::InvalidImage { reason: reason.into() }
    }
}
