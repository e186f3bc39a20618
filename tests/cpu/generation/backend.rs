//! A fake model on a device that is lost on request and can be reopened.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ocelli::config::ImageGrid;
use ocelli::engine::{Backend, ContextEntry, PictureSeconds, PromptImages, PromptLimits, RequestContext, SizedPicture};
use ocelli::package::manifest::Manifest;
use ocelli::state::Pages;
use ocelli::{Error, Result};

use super::fake::{FakeModel, Faults, Kind};

#[derive(Debug)]
pub(crate) struct FakeBackend {
    model: Option<FakeModel>,
    kind: Kind,
    manifest: Arc<Manifest>,
    vocab: usize,
    context: usize,
    chunk: usize,
    /// Pages of the pool, and limit of idle conversations.
    pub(crate) pages: usize,
    pub(crate) idle: usize,
    pub(crate) faults: Rc<RefCell<Faults>>,
    /// Device properties that snapshots depend on.
    pub(crate) numerics: String,
}

impl FakeBackend {
    pub(crate) fn new(kind: Kind, manifest: Manifest, vocab: usize, (context, chunk): (usize, usize)) -> Self {
        let faults = Rc::default();
        let (pages, idle) = (8, 8);
        let numerics = format!("{kind:?}");
        let manifest = Arc::new(manifest);
        let mut this = Self { model: None, kind, manifest, vocab, context, chunk, pages, idle, faults, numerics };
        this.open();
        this
    }

    /// Sets the pages of the pool and the limit of idle conversations.
    pub(crate) fn with(mut self, pages: usize, idle: usize) -> Self {
        (self.pages, self.idle) = (pages, idle);
        self.open();
        self
    }

    /// Moves the engine to another device.
    pub(crate) fn on(self, numerics: &str) -> Self {
        Self { numerics: numerics.into(), ..self }
    }

    fn open(&mut self) {
        let device = self.faults.borrow().devices + 1;
        self.faults.borrow_mut().devices = device;
        let Self { kind, vocab, context, chunk, .. } = *self;
        let (faults, rows, mut pages) = (self.faults.clone(), Vec::new(), Pages::default());
        pages.resize(self.pages);
        let pages = Rc::new(RefCell::new(pages));
        self.model = Some(FakeModel { kind, vocab, context, chunk, pages, device, lost: false, faults, rows });
    }
}

/// A device whose rate is not known.
#[derive(Debug)]
struct Unknown;

impl PictureSeconds for Unknown {
    fn seconds(&self, _: ImageGrid) -> Result<Option<f64>> {
        Ok(None)
    }
}

impl Backend for FakeBackend {
    type Model = FakeModel;

    fn context(&self) -> usize {
        self.context
    }

    fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    fn numerics(&self) -> Result<String> {
        Ok(self.numerics.clone())
    }

    fn runs_at_once(&self) -> bool {
        false
    }

    fn prompt_limits(&self) -> PromptLimits {
        PromptLimits { context: self.context, longest_edge: 448, seconds: Arc::new(Unknown) }
    }

    fn model(&mut self) -> Result<&mut FakeModel> {
        self.model.as_mut().ok_or_else(|| Error::DeviceLost { reason: "not there".into() })
    }

    fn max_idle(&self) -> usize {
        self.idle
    }

    fn lacks_room(&self, _: &[ContextEntry], _: &[Arc<SizedPicture>]) -> bool {
        false
    }

    async fn encode_images(
        &mut self,
        _: &[ContextEntry],
        _: &[Arc<SizedPicture>],
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages> {
        context.control.check()?;
        Ok(PromptImages::default())
    }

    fn close(&mut self) {
        self.model = None;
    }

    fn has_fallback(&self) -> bool {
        false
    }

    async fn fall_back(&mut self, _: &mut RequestContext<'_>, reason: &str) -> Result<()> {
        Err(Error::DeviceLost { reason: reason.into() })
    }

    async fn reopen(&mut self, context: &mut RequestContext<'_>) -> Result<()> {
        context.control.check()?;
        self.open();
        Ok(())
    }

    async fn free_memory(&mut self) -> Result<()> {
        self.model()?.pages.borrow_mut().clear();
        self.model()?.operate()
    }
}
