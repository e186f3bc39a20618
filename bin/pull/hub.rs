//! Models of a hub by their names: `OWNER/REPOSITORY`, with `:QUANT` for one of several GGUF files.

use std::path::PathBuf;

use ocelli::{Error, Result};
use serde::Deserialize;

use super::download::Downloader;
use crate::shared::models::KnownSource;

/// The hub that names refer to.
const HUB: &str = "https://huggingface.co";
/// Quantisations of GGUF files that are preferred, the first one most, if the name says none.
const PREFERRED: [&str; 4] = ["Q4_K_M", "Q4_0", "Q8_0", "BF16"];
/// The same for the vision half, which is small.
const PREFERRED_VISION: [&str; 3] = ["BF16", "F16", "Q8_0"];

/// Address of the hub, without a slash at its end: that of `HF_ENDPOINT`, for mirrors.
pub(super) fn endpoint() -> String {
    let own = std::env::var("HF_ENDPOINT").ok().filter(|address| !address.is_empty());
    own.map_or_else(|| HUB.to_owned(), |address| address.trim_end_matches('/').to_owned())
}

/// The token that the hub's own client stores: in the file at `HF_TOKEN_PATH`, else in the folder `HF_HOME`, else in the cache.
pub(super) fn stored_token() -> Option<String> {
    let of = |variable: &str| std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = || of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let folder = || of("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
    let path = of("HF_TOKEN_PATH").or_else(|| Some(folder()?.join("token")))?;
    let token = std::fs::read_to_string(path).ok()?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

/// The same source at the hub's address.
pub(super) fn mirrored(source: KnownSource) -> KnownSource {
    moved(source, HUB, &endpoint())
}

/// The same source at the address of the hub itself, in place of a mirror's.
pub(super) fn unmirrored(source: KnownSource) -> KnownSource {
    moved(source, &endpoint(), HUB)
}

fn moved(source: KnownSource, from: &str, to: &str) -> KnownSource {
    source.map(|url| match url.strip_prefix(from) {
        Some(path) if path.starts_with('/') => format!("{to}{path}"),
        _ => url,
    })
}

/// A repository, and the quantisation of the wanted GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repository<'a> {
    path: &'a str,
    quant: Option<&'a str>,
}

/// Files of a repository, in the answer of the hub's API.
#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl<'a> Repository<'a> {
    /// Reads `OWNER/REPOSITORY[:QUANT]`; `None` for anything else.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let (path, quant) = name.split_once(':').map_or((name, None), |(path, quant)| (path, Some(quant)));
        let is_part = |part: &str| {
            let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_fine)
        };
        let (owner, repository) = path.split_once('/')?;
        let are_fine = is_part(owner) && is_part(repository) && quant.is_none_or(is_part);
        are_fine.then_some(Self { path, quant })
    }

    /// The source in the repository: a GGUF file with the vision half, or the folder of safetensors weights.
    ///
    /// # Errors
    /// `io`, and [`Error::InvalidRequest`] if there is no such repository or no file of the wanted quantisation.
    pub(super) fn source(self, downloader: &Downloader, mmproj: Option<&str>) -> Result<KnownSource> {
        let (hub, path) = (endpoint(), self.path);
        let missing = || Error::request("model", format!("{hub} has no repository {path}"));
        let text = downloader.text(&format!("{hub}/api/models/{path}"))?.ok_or_else(missing)?;
        let listing: Listing = serde_json::from_str(&text)
            .map_err(|error| Error::Io { path: format!("{hub}/api/models/{path}"), reason: error.to_string() })?;
        let names: Vec<String> = listing.siblings.into_iter().map(|file| file.rfilename).collect();
        let at = |name: &str| format!("{hub}/{path}/resolve/main/{name}");
        match self.files(&names)? {
            Some((text, vision)) => {
                let mmproj = mmproj.map(str::to_owned).or_else(|| vision.map(at));
                Ok(KnownSource::Gguf { gguf: at(text), mmproj })
            }
            None => Ok(KnownSource::Safetensors { safetensors: at("") }),
        }
    }

    /// The wanted GGUF file and the vision half; `None` if there are no GGUF files.
    fn files<'b>(&self, names: &'b [String]) -> Result<Option<(&'b str, Option<&'b str>)>> {
        let is_gguf = |name: &&String| name.to_lowercase().ends_with(".gguf");
        // Later parts of split files follow from the first one.
        let is_first = |name: &&String| !name.contains("-of-") || name.contains("-00001-of-");
        let files = names.iter().filter(is_gguf).filter(is_first).map(String::as_str);
        let (vision, text): (Vec<&str>, Vec<&str>) = files.partition(|name| name.to_lowercase().contains("mmproj"));
        if text.is_empty() && self.quant.is_none() {
            return Ok(None);
        }
        let found = match self.quant {
            Some(quant) => preferred(&text, &[quant]),
            None => preferred(&text, &PREFERRED).or(text.first().copied()),
        };
        let missing =
            || Error::request("model", format!("none of its GGUF files is of this kind: {}", text.join(", ")));
        let found = found.ok_or_else(missing)?;
        Ok(Some((found, preferred(&vision, &PREFERRED_VISION).or(vision.first().copied()))))
    }
}

/// The first file of the first kind that any file has. A kind is a part of the name between marks. It may follow a `_`, but does not end
/// before one: `Q4_K` is not the kind of `Q4_K_M`.
fn preferred<'a>(files: &[&'a str], kinds: &[&str]) -> Option<&'a str> {
    let has = |name: &str, kind: &str| {
        let name = name.to_uppercase();
        let name = name.trim_end_matches(".GGUF");
        name.match_indices(&kind.to_uppercase()).any(|(at, kind)| {
            let is_mark = |letter: char| !letter.is_alphanumeric();
            let before = name[..at].chars().next_back();
            let after = name[at + kind.len()..].chars().next();
            before.is_none_or(is_mark) && after.is_none_or(|letter| is_mark(letter) && letter != '_')
        })
    };
    kinds.iter().find_map(|kind| files.iter().copied().find(|name| has(name, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_repositories_with_or_without_a_quantisation() {
        let of = |name| Repository::of(name).map(|found| (found.path.to_owned(), found.quant.map(str::to_owned)));
        assert_eq!(of("o/n"), Some(("o/n".into(), None)));
        assert_eq!(of("o/n-GGUF:q8_0"), Some(("o/n-GGUF".into(), Some("q8_0".into()))));
        for other in ["n", "o/n/m", "https://host/n", "o/n:", "/n", "../n", "o/.n", "o/n:a/b", "C:/n"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_kind_may_follow_an_underscore() {
        let names = ["gemma-4-E2B_q4_0-it.gguf", "gemma-4-E2B_f16-it.gguf"].map(str::to_owned);
        let chosen = |name: &'static str| Repository::of(name).expect("a name").files(&names);
        assert_eq!(chosen("o/n:q4_0"), Ok(Some(("gemma-4-E2B_q4_0-it.gguf", None))));
        assert_eq!(chosen("o/n"), Ok(Some(("gemma-4-E2B_q4_0-it.gguf", None))));
        assert!(chosen("o/n:q4").is_err());
    }

    #[test]
    fn the_usual_file_is_chosen_among_several() {
        let names = [
            "README.md",
            "N-IQ4_XS.gguf",
            "N-Q4_K_S.gguf",
            "N-Q4_K_M.gguf",
            "Q8/N-Q8_0-00001-of-00002.gguf",
            "Q8/N-Q8_0-00002-of-00002.gguf",
            "mmproj-F32.gguf",
            "mmproj-N-f16.gguf",
        ]
        .map(str::to_owned);
        let chosen = |name: &'static str| Repository::of(name).expect("a name").files(&names);
        assert_eq!(chosen("o/n"), Ok(Some(("N-Q4_K_M.gguf", Some("mmproj-N-f16.gguf")))));
        assert_eq!(
            chosen("o/n:q8_0").map(|found| found.map(|(text, _)| text)),
            Ok(Some("Q8/N-Q8_0-00001-of-00002.gguf"))
        );
        assert_eq!(chosen("o/n:Q4_K_S").map(|found| found.map(|(text, _)| text)), Ok(Some("N-Q4_K_S.gguf")));
        assert!(chosen("o/n:Q4_K").is_err() && chosen("o/n:Q3_K_M").is_err());
        let weights = ["config.json".to_owned(), "model.safetensors".to_owned()];
        let files = |name: &'static str| Repository::of(name).expect("a name").files(&weights);
        assert!(files("o/n") == Ok(None) && files("o/n:Q8_0").is_err());
    }
}
