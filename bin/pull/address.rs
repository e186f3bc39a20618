//! Addresses of models, and relative addresses.

use ocelli::{Error, Result};

use crate::shared::models::KnownSource;

/// `https://host` of an address.
pub(super) fn host(url: &str) -> &str {
    let path = url.find("://").and_then(|at| Some(at + 3 + url[at + 3..].find('/')?));
    &url[..path.unwrap_or(url.len())]
}

/// An address without query and fragment: `https://host/folder/file`.
fn plain(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The folder of a file's address, and the file's name.
pub(super) fn folder_and_name(url: &str) -> (&str, &str) {
    let plain = plain(url);
    plain.rfind('/').map_or(("", plain), |at| plain.split_at(at + 1))
}

/// Resolves `reference` in a response of `base`.
pub(super) fn join(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.into();
    }
    if let Some(rest) = reference.strip_prefix("//") {
        let scheme = base.split("://").next().unwrap_or_default();
        return format!("{scheme}://{rest}");
    }
    let folder = if reference.starts_with('/') { host(base) } else { folder_and_name(base).0 };
    format!("{folder}{reference}")
}

/// The files of a model page on huggingface.co; other addresses are unchanged.
fn of_hub(url: &str) -> String {
    let Some(path) = url.strip_prefix("https://huggingface.co/") else { return url.into() };
    let parts: Vec<&str> = plain(path).split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [owner, name] => format!("https://huggingface.co/{owner}/{name}/resolve/main/"),
        [owner, name, "blob" | "tree", rest @ ..] => {
            format!("https://huggingface.co/{owner}/{name}/resolve/{}", rest.join("/"))
        }
        _ => url.into(),
    }
}

/// The source at an address: a GGUF file, or a folder with a trailing slash.
pub(super) fn source(url: &str, mmproj: Option<&str>) -> Result<KnownSource> {
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        let reason = format!("{url:?} is no known model (`ocelli pull` lists them), and no http(s) address");
        return Err(Error::request("model", reason));
    }
    let url = of_hub(url);
    if plain(&url).to_lowercase().ends_with(".gguf") {
        return Ok(KnownSource::Gguf { gguf: url, mmproj: mmproj.map(of_hub) });
    }
    if mmproj.is_some() {
        return Err(Error::request("--mmproj", "goes with the address of a text model that ends in .gguf"));
    }
    let folder = plain(&url).trim_end_matches("model.json").trim_end_matches('/');
    Ok(KnownSource::Safetensors { safetensors: format!("{folder}/") })
}

/// A name for the package: that of the GGUF file, the repository on a hub, or the folder.
pub(super) fn name(source: &KnownSource) -> String {
    let url = match source {
        KnownSource::Gguf { gguf, .. } => folder_and_name(gguf).1,
        KnownSource::Safetensors { safetensors } => safetensors,
    };
    let parts: Vec<&str> =
        url.split("://").last().unwrap_or_default().split('/').filter(|part| !part.is_empty()).collect();
    let name = match parts.iter().position(|&part| part == "resolve") {
        Some(at) if at > 0 => parts[at - 1],
        _ => parts.last().copied().unwrap_or_default(),
    };
    let name = name.strip_suffix(".gguf").or_else(|| name.strip_suffix(".GGUF")).unwrap_or(name);
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String =
        name.chars().map(|letter| if allowed(letter) { letter.to_ascii_lowercase() } else { '-' }).collect();
    // Neither a folder above the cache nor a hidden one.
    let name = name.trim_start_matches('.');
    if name.is_empty() { "model".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_where_a_browser_would_go() {
        let base = "https://host:8080/a/b/file?download=true#x";
        assert_eq!(join(base, "https://other/x"), "https://other/x");
        assert_eq!(join(base, "//other/x"), "https://other/x");
        assert_eq!(join(base, "/x/y"), "https://host:8080/x/y");
        assert_eq!(join(base, "y"), "https://host:8080/a/b/y");
    }

    #[test]
    fn addresses_lead_to_files_folders_and_names() {
        let of = |url: &str| {
            let source = source(url, None).unwrap();
            let place = match &source {
                KnownSource::Gguf { gguf, .. } => gguf.clone(),
                KnownSource::Safetensors { safetensors } => safetensors.clone(),
            };
            (place, name(&source))
        };
        let hub = "https://huggingface.co";
        assert_eq!(
            of(&format!("{hub}/Qwen/Qwen3.5-0.8B")),
            (format!("{hub}/Qwen/Qwen3.5-0.8B/resolve/main/"), "qwen3.5-0.8b".into())
        );
        assert_eq!(of(&format!("{hub}/o/n/tree/v1")), (format!("{hub}/o/n/resolve/v1/"), "n".into()));
        let file = format!("{hub}/o/n/resolve/main/N-Q4.gguf");
        assert_eq!(of(&format!("{hub}/o/n/blob/main/N-Q4.gguf")), (file, "n-q4".into()));
        assert_eq!(of("http://host/models/demo/model.json"), ("http://host/models/demo/".into(), "demo".into()));
        assert_eq!(of("http://host/..").1, "model");
        assert!(source("ftp://host/x", None).is_err() && source("nothing", None).is_err());
        assert!(source("http://host/x/", Some("http://host/m.gguf")).is_err());
    }
}
