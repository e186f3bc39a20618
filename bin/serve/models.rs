//! The served models. Each has a queue and, while it is loaded, an engine on a thread of its own.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ocelli::api::{Service, Work};
use ocelli::engine::{Encoder, Engine, Picture, RequestControl};
use ocelli::gpu::Ledger;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engines::{Jobs, Occupant, OpenRequests, Prepared};
use crate::lanes::Memory;
use crate::shared::api::{self, NameArgs};
use crate::shared::formats::Formats;
use crate::shared::io;
use crate::usage::Bill;

/// All models of a server; requests without a name of a model are for the first one.
pub(super) struct Models(Vec<Arc<Model>>);

/// A served model.
pub(super) struct Model {
    names: Names,
    pub(super) jobs: Jobs,
    loaded: OnceLock<Loaded>,
}

/// Names of a model in requests.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The name in answers.
    pub(super) own: String,
    /// The name in its manifest, for another model than the first one, which gets all requests with unknown names.
    pub(super) manifest: Option<String>,
}

/// The parts of a model that are kept after it was loaded for the first time.
pub(super) struct Loaded {
    pub(super) service: Service,
    encoder: Arc<Encoder>,
    formats: Formats,
    /// Memory of the device, which is another one after the model was loaded again.
    ledger: Mutex<Arc<Ledger>>,
}

/// The model that a request names.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
}

impl Names {
    /// The names of the first package's model.
    pub(super) fn of_first(package: &Path, names: &NameArgs) -> Self {
        Self { own: names.name(package), manifest: None }
    }

    /// The names of another package's model.
    ///
    /// # Errors
    /// `io`, or that of a malformed manifest.
    pub(super) fn of(package: &Path) -> Result<Self> {
        let manifest = Manifest::parse(&io::read(&package.join(MANIFEST_FILE))?)?;
        Ok(Self { own: NameArgs::default().name(package), manifest: Some(manifest.name) })
    }

    fn have(&self, name: &str) -> bool {
        self.own == name || self.manifest.as_deref() == Some(name)
    }
}

impl Loaded {
    pub(super) fn new(service: Service, engine: &Engine) -> Self {
        let ledger = Mutex::new(engine.gpu().ledger().clone());
        Self { service, encoder: engine.encoder().clone(), formats: Formats::new(engine), ledger }
    }

    /// Decodes the pictures, encodes prompts and compiles the grammar of a request.
    ///
    /// # Errors
    /// A fault of the request, or `aborted`.
    pub(super) fn prepare(
        &self,
        (id, mut work): (String, Box<Work>),
        pictures: &[Picture],
        (bill, memory): (Option<Bill>, Memory),
        control: RequestControl,
    ) -> Result<Prepared> {
        let prompts = work.encode(&self.encoder, pictures, &control)?;
        control.check()?;
        // They may be as large as the body, whose memory is given back.
        work.pictures.iter_mut().for_each(|picture| picture.url = String::new());
        let grammar = self.formats.grammar(&work)?;
        Ok(Prepared { id, work, prompts, grammar, control, bill, memory })
    }

    fn ledger(&self) -> MutexGuard<'_, Arc<Ledger>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model {
    pub(super) fn new(names: Names, jobs: Jobs) -> Self {
        Self { names, jobs, loaded: OnceLock::new() }
    }

    /// The name in answers.
    pub(super) fn name(&self) -> &str {
        &self.names.own
    }

    /// The parts of the model that requests need. The first request loads it.
    ///
    /// # Errors
    /// The errors of loading; `aborted` when the server stops.
    pub(super) async fn loaded(&self) -> Result<&Loaded> {
        if self.loaded.get().is_none() {
            self.jobs.load().await?;
        }
        self.known()
    }

    /// The same for a model that was loaded before.
    ///
    /// # Errors
    /// `aborted`.
    pub(super) fn known(&self) -> Result<&Loaded> {
        self.loaded.get().ok_or(Error::Aborted)
    }

    /// Notes that the model was loaded. `service` creates its API the first time.
    pub(super) fn opened(&self, engine: &Engine, service: impl FnOnce() -> Service) {
        let loaded = self.loaded.get_or_init(|| Loaded::new(service(), engine));
        *loaded.ledger() = engine.gpu().ledger().clone();
    }

    /// Entry in the list of models. Before the model is loaded it has its name alone.
    fn entry(&self) -> Value {
        let name = || json!({"id": self.names.own, "object": "model", "created": api::seconds(), "owned_by": "ocelli"});
        self.loaded.get().map_or_else(name, |loaded| loaded.service.entry())
    }
}

impl Models {
    /// # Errors
    /// `invalid-request` if two models have the same name.
    pub(super) fn new(models: Vec<Model>) -> Result<Self> {
        for (number, model) in models.iter().enumerate() {
            let name = &model.names.own;
            if models[..number].iter().any(|other| other.names.own == *name) {
                return Err(Error::request("packages", format!("two of them have the name {name:?}")));
            }
        }
        Ok(Self(models.into_iter().map(Arc::new).collect()))
    }

    pub(super) fn all(&self) -> &[Arc<Model>] {
        &self.0
    }

    /// The models as occupants of places.
    pub(super) fn occupants(&self) -> Vec<Box<dyn Occupant>> {
        self.0.iter().map(|model| -> Box<dyn Occupant> { Box::new(model.jobs.clone()) }).collect()
    }

    /// The model of requests that name none.
    pub(super) fn first(&self) -> &Arc<Model> {
        &self.0[0]
    }

    /// Returns true once the first model has been loaded.
    pub(super) fn are_ready(&self) -> bool {
        self.first().loaded.get().is_some()
    }

    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// The model that a body names. The first one refuses names that no model has.
    pub(super) fn of_body(&self, body: &str) -> &Arc<Model> {
        let named = self.are_several().then(|| serde_json::from_str::<Named<'_>>(body).ok()).flatten();
        let name = named.and_then(|named| named.model);
        name.and_then(|name| self.named(&name)).unwrap_or_else(|| self.first())
    }

    fn named(&self, name: &str) -> Option<&Arc<Model>> {
        self.0.iter().find(|model| model.names.have(name))
    }

    /// The answer to a request about models, if there are several.
    pub(super) fn answer(&self, method: &str, path: &str) -> Option<String> {
        let (_, below) = path.split_once("/v1/").filter(|_| self.are_several() && method == "GET")?;
        let name = below.trim_matches('/').strip_prefix("models")?;
        if name.is_empty() {
            let entries: Vec<Value> = self.0.iter().map(|model| model.entry()).collect();
            return Some(json!({"object": "list", "data": entries}).to_string());
        }
        let name = percent_decode_str(name.strip_prefix('/')?).decode_utf8().ok()?;
        self.named(&name).map(|model| model.entry().to_string())
    }

    /// Adds the names of all models to the refusal of an unknown one.
    pub(super) fn told(&self, error: Error) -> Error {
        match error {
            Error::ModelNotFound { model, .. } => Error::ModelNotFound { model, known: self.list() },
            other => other,
        }
    }

    /// The names of all models, for people.
    pub(super) fn list(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|model| &*model.names.own).collect();
        names.join(", ")
    }

    /// Requests of all models.
    pub(super) fn counts(&self) -> OpenRequests {
        let add = |sum: OpenRequests, model: &Arc<Model>| {
            let OpenRequests { waiting, active } = model.jobs.counts();
            OpenRequests { waiting: sum.waiting + waiting, active: sum.active + active }
        };
        self.0.iter().fold(OpenRequests { waiting: 0, active: 0 }, add)
    }

    /// Bytes on devices.
    pub(super) fn device_bytes(&self) -> u64 {
        self.0.iter().filter_map(|model| model.loaded.get()).map(|loaded| loaded.ledger().total().0).sum()
    }

    /// Returns true if the thread of an engine should have shown a sign of life.
    pub(super) fn are_hung(&self) -> bool {
        self.0.iter().any(|model| model.jobs.is_hung())
    }

    /// Stops all engines and cancels their requests.
    pub(super) fn stop(&self) {
        self.0.iter().for_each(|model| model.jobs.stop());
    }

    /// Returns true if the engines are ending: open requests will not be answered.
    pub(super) fn are_stopped(&self) -> bool {
        self.first().jobs.is_stopped()
    }
}
