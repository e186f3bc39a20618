//! Why a picture cannot be read, as data.

/// The crate's result type.
pub type Result<T> = std::result::Result<T, PictureError>;

/// What is wrong with a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The bytes are not a picture that can be read.
    #[error("not a readable picture: {reason}")]
    InvalidImage {
        /// What the decoder said.
        reason: String,
    },
    /// The picture has more pixels than may be held.
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
