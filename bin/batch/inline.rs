//! Requests for other servers, which read no files of this machine: pictures at paths become `data:` URLs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocelli::engine::{Detail, PictureContent};
use ocelli::{Error, Result};
use serde_json::Value;

use super::BatchRequest;
use crate::shared::ask::{PictureFolder, picture_at};

/// The request with the pictures themselves, and with a model if it names none.
///
/// # Errors
/// `invalid-request` for a picture that cannot be read.
pub(super) fn complete(request: &BatchRequest, folder: PictureFolder<'_>, model: Option<&str>) -> Result<BatchRequest> {
    let internal = |error: serde_json::Error| Error::Internal { detail: error.to_string() };
    let mut body: Value = serde_json::from_str(&request.body).map_err(internal)?;
    for messages in ["messages", "input"] {
        body.get_mut(messages).map_or(Ok(()), |messages| pictures(messages, folder))?;
    }
    if let (Some(fields), Some(model)) = (body.as_object_mut(), model) {
        fields.entry("model").or_insert_with(|| model.into());
    }
    Ok(BatchRequest { body: body.to_string(), ..request.clone() })
}

/// Replaces the paths in all parts with an `image_url`.
fn pictures(value: &mut Value, folder: PictureFolder<'_>) -> Result<()> {
    match value {
        Value::Array(values) => values.iter_mut().try_for_each(|value| pictures(value, folder)),
        Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| match (name.as_str(), value) {
            ("image_url", Value::String(url)) => inlined(url, folder),
            ("image_url", value) => match value.get_mut("url") {
                Some(Value::String(url)) => inlined(url, folder),
                _ => Ok(()),
            },
            (_, value) => pictures(value, folder),
        }),
        _ => Ok(()),
    }
}

fn inlined(url: &mut String, folder: PictureFolder<'_>) -> Result<()> {
    if ["http:", "https:", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    let picture = picture_at(url, Detail::Auto, folder).map_err(|error| match error {
        Error::Io { path, reason } => Error::request("image_url", format!("{path}: {reason}")),
        error => error,
    })?;
    let PictureContent::Encoded(bytes) = picture.content else {
        return Err(Error::Internal { detail: "a file without bytes".into() });
    };
    let kind = match bytes.first_chunk::<4>() {
        Some(b"\x89PNG") => "png",
        Some([0xff, 0xd8, ..]) => "jpeg",
        Some(b"RIFF") => "webp",
        Some(b"GIF8") => "gif",
        _ => return Err(Error::request("image_url", format!("{url} is not a PNG, JPEG, WebP, GIF or PDF"))),
    };
    *url = format!("data:image/{kind};base64,{}", STANDARD.encode(bytes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn pictures_at_paths_are_sent_and_others_stay_as_they_are() {
        let folder = PictureFolder { base: Path::new("www/models/demo/gallery"), any_path: false };
        let complete = |body: &str| {
            let request = BatchRequest { custom_id: "a".into(), url: "/v1/responses".into(), body: body.into() };
            complete(&request, folder, Some("m")).map(|complete| complete.body)
        };
        let chat =
            complete(r#"{"messages": [{"content": [{"image_url": {"url": "scene-01.png", "detail": "low"}}]}]}"#);
        let chat: Value = serde_json::from_str(&chat.expect("a picture")).expect("JSON");
        let sent = &chat["messages"][0]["content"][0]["image_url"];
        assert!(sent["url"].as_str().is_some_and(|url| url.starts_with("data:image/png;base64,iVBOR")), "{sent}");
        assert_eq!((&sent["detail"], &chat["model"]), (&"low".into(), &"m".into()));
        let response = complete(
            r#"{"model": "own", "input": [{"content": [{"image_url": "scene-02.png"}, {"image_url": "https://h/a.png"}]}]}"#,
        );
        let response: Value = serde_json::from_str(&response.expect("a picture")).expect("JSON");
        let parts = &response["input"][0]["content"];
        assert!(parts[0]["image_url"].as_str().is_some_and(|url| url.starts_with("data:image/png")));
        assert_eq!((&parts[1]["image_url"], &response["model"]), (&"https://h/a.png".into(), &"own".into()));
        for wrong in ["missing.png", "gallery.json", "../model.json"] {
            let body = format!(r#"{{"messages": [{{"content": [{{"image_url": "{wrong}"}}]}}]}}"#);
            assert_eq!(complete(&body).map_err(|error| error.code()), Err("invalid-request"), "{wrong}");
        }
    }
}
