//! Shared parts of the commands that answer OpenAI API requests: the model's names, ids of requests, pictures in requests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use clap::Args;
use ocelli::api::{Embedder, PictureUrl, Service, Stamp};
use ocelli::chat::EmbeddingSettings;
use ocelli::engine::{Detail, Engine, Picture};
use ocelli::responses::Responses;
use ocelli::{Error, Result};

use super::ask::{self, PictureFolder};

/// Most bytes of stored responses.
pub(crate) const MOST_RESPONSE_BYTES: usize = 256 << 20;

/// Names of the model.
#[derive(Args, Default)]
pub(crate) struct NameArgs {
    /// The model's name in answers [default: the package's folder].
    #[arg(long, env = "OCELLI_MODEL_NAME")]
    model: Option<String>,
    /// Another name that requests may use; may be repeated. `*` stands for any name.
    #[arg(long = "alias", env = "OCELLI_ALIASES", value_delimiter = ',')]
    aliases: Vec<String>,
}

impl NameArgs {
    /// The model's name, if one is given.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The name of a package's model.
    pub(crate) fn name(&self, package: &Path) -> String {
        self.model.clone().unwrap_or_else(|| folder_name(package))
    }

    /// The API of a package's model.
    pub(crate) fn service(&self, engine: &Engine, package: &Path) -> Service {
        Service {
            model: self.name(package),
            aliases: self.aliases.iter().cloned().chain([engine.manifest().name.clone()]).collect(),
            defaults: engine.sampling_defaults(),
            created: seconds(),
            context: engine.plan().context,
            reads_pictures: engine.encoder().reads_pictures(),
            calls: engine.call_syntax(),
            thinking: engine.thinking(),
            tokenizer: engine.tokenizer().clone(),
            responses: Arc::new(Responses::new(MOST_RESPONSE_BYTES)),
            embedder: embedder(engine, false),
            keeps_files: false,
        }
    }
}

/// Embeddings of a model; of one that was not trained for them only if its owner `allows` it.
pub(crate) fn embedder(engine: &Engine, allows: bool) -> Option<Embedder> {
    let settings = engine.embedding().cloned().or_else(|| allows.then(EmbeddingSettings::untrained))?;
    Some(Embedder { settings, width: engine.config().text().hidden_size })
}

/// The name of a folder without its path.
fn folder_name(package: &Path) -> String {
    let full = package.canonicalize().unwrap_or_else(|_| package.to_path_buf());
    full.file_name().map_or_else(|| "ocelli".into(), |name| name.to_string_lossy().into_owned())
}

/// Id, time and seed of a new request whose response is not stored.
pub(crate) fn stamp() -> Stamp {
    Stamp { id: random_name(), created: seconds(), seed: random() as u32, owner: None }
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An unpredictable number, from the random keys of the standard library's hash tables.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A unique and unpredictable name.
pub(crate) fn random_name() -> String {
    format!("{:016x}{:08x}", random(), random() as u32)
}

/// A picture in a client's request.
///
/// # Errors
/// The errors of [`sent_url`].
pub(crate) fn sent_picture(picture: &PictureUrl) -> Result<Picture> {
    sent_url(&picture.url, &picture.field, picture.detail)
}

/// The picture in a `data:` URL. Other URLs are refused, so that clients cannot make the server send requests (SSRF).
///
/// # Errors
/// `invalid-request` that names the field.
pub(crate) fn sent_url(url: &str, field: &str, detail: Detail) -> Result<Picture> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Err(Error::request(field, "this server accepts only data: URLs of pictures"));
    };
    let (kind, data) = rest.split_once(',').ok_or_else(|| Error::request(field, "a data: URL without a comma"))?;
    if !kind.ends_with(";base64") {
        return Err(Error::request(field, "a data: URL of a picture must be in base64"));
    }
    let bytes = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data));
    let shown = |bytes| Picture::encoded(bytes).at(detail);
    bytes.map(shown).map_err(|error| Error::request(field, format!("not base64: {error}")))
}

/// A picture in a local user's request: a `data:` URL, or a file.
pub(crate) fn own_picture(picture: &PictureUrl, folder: PictureFolder<'_>) -> Result<Picture> {
    if picture.url.starts_with("data:") {
        return sent_picture(picture);
    }
    ask::picture_at(&picture.url, picture.detail, folder).map_err(|error| match error {
        Error::Io { path, reason } => Error::request(&picture.field, format!("{path}: {reason}")),
        error => error,
    })
}
