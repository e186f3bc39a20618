//! Addresses of models, and relative addresses.

use std::net::IpAddr;

use ocelli::{Error, Result};
use ureq::http::Uri;

use crate::shared::models::KnownSource;

/// Scheme, host and port of an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an http or https address.
    pub(super) fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (scheme, host) = (uri.scheme_str()?.to_lowercase(), uri.host()?.to_lowercase());
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        Some(Self { scheme, host, port: uri.port_u16().unwrap_or(usual) })
    }

    /// Returns true if others cannot read a connection to it: it is encrypted, or does not leave this machine.
    fn is_private(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        self.scheme == "https" || host == "localhost" || is_loopback
    }
}

/// An access token, and the only origin that may receive it.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: String,
    pub(super) origin: Origin,
}

impl Token {
    /// A token for the origin of an address; `None` if it would be sent in clear text.
    pub(super) fn new(secret: String, url: &str) -> Option<Self> {
        Origin::of(url).filter(Origin::is_private).map(|origin| Self { secret, origin })
    }
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
fn join(base: &str, reference: &str) -> String {
    let host = base.find("://").map_or(0, |at| at + 3);
    let path = base[host..].find(['/', '?', '#']).map_or(base.len(), |at| host + at);
    match reference.find([':', '/', '?', '#']).map(|at| (at, &reference[at..])) {
        Some((1.., rest)) if rest.starts_with(':') => reference.into(),
        Some((0, rest)) if rest.starts_with("//") => format!("{}{rest}", base[..host].trim_end_matches('/')),
        Some((0, rest)) if rest.starts_with('/') => format!("{}{rest}", &base[..path]),
        Some((0, rest)) if rest.starts_with('?') => format!("{}{rest}", plain(base)),
        _ if path == plain(base).len() => format!("{}/{reference}", &base[..path]),
        _ => format!("{}{reference}", folder_and_name(base).0),
    }
}

/// Resolves the location of a redirection.
///
/// # Errors
/// `io` if it leads from https to another scheme, or to no address.
pub(super) fn follow(base: &str, location: &str) -> Result<String> {
    let next = join(base, location);
    match (Origin::of(base), Origin::of(&next)) {
        (Some(from), Some(to)) if to.scheme == "https" || to.scheme == from.scheme => Ok(next),
        _ => Err(Error::Io { path: base.into(), reason: format!("it redirects to {next}, which is not https") }),
    }
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
        assert_eq!(join(base, "/x?u=https://y/z"), "https://host:8080/x?u=https://y/z");
        assert_eq!(join(base, "y?u=https://z"), "https://host:8080/a/b/y?u=https://z");
        assert_eq!(join(base, "?page=2"), "https://host:8080/a/b/file?page=2");
        assert_eq!(join("https://host", "y"), "https://host/y");
        assert_eq!(join("https://host?a/b", "/y"), "https://host/y");
    }

    #[test]
    fn a_redirection_from_https_to_http_is_refused() {
        assert_eq!(follow("https://host/a", "/b").as_deref(), Ok("https://host/b"));
        assert_eq!(follow("http://host/a", "https://host/a").as_deref(), Ok("https://host/a"));
        assert_eq!(follow("http://host/a", "http://other/").as_deref(), Ok("http://other/"));
        for location in ["http://host/a", "HTTP://host/a", "file:///etc/passwd", "https:nothing", "ftp://host:443/"] {
            assert!(follow("https://host/a", location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_token_is_only_for_the_origin_of_an_address() {
        let receives = |owner: &str, url: &str| {
            Token::new("secret".into(), owner).is_some_and(|token| Origin::of(url) == Some(token.origin))
        };
        let hub = "https://huggingface.co";
        assert!(receives(hub, "https://huggingface.co/o/n/resolve/main/a"));
        assert!(receives(hub, "HTTPS://HuggingFace.co:443/o"));
        for other in [
            "http://huggingface.co/o",
            "https://huggingface.co@evil/",
            "https://huggingface.co:443@evil/",
            "https://huggingface.co.evil/",
            "https://evil/huggingface.co/",
            "https://cdn.huggingface.co/",
            "https://huggingface.co:8443/",
            "https:huggingface.co",
        ] {
            assert!(!receives(hub, other), "{other}");
        }
        assert!(!receives("http://host/", "http://host/"), "in clear text");
        for own in ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]:80/"] {
            assert!(receives(own, own), "{own}");
        }
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
