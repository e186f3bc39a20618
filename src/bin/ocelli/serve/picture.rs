//! Pictures of requests: `data:` URLs alone. A server that fetched what strangers name would do their errands.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ocelli::api::PictureUrl;
use ocelli::engine::Picture;
use ocelli::{Error, Result};

/// The file in a `data:` URL.
pub(super) fn read(picture: &PictureUrl) -> Result<Picture> {
    let PictureUrl { url, field, detail } = picture;
    let Some(rest) = url.strip_prefix("data:") else {
        return Err(Error::request(field, "this server takes data: URLs of pictures, it fetches none"));
    };
    let (kind, data) = rest.split_once(',').ok_or_else(|| Error::request(field, "a data: URL without a comma"))?;
    if !kind.ends_with(";base64") {
        return Err(Error::request(field, "a data: URL of a picture must be in base64"));
    }
    let bytes = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data));
    let shown = |bytes| Picture::encoded(bytes).at(*detail);
    bytes.map(shown).map_err(|error| Error::request(field, format!("not base64: {error}")))
}
