//! States of the recurrent layers of a conversation. Their size does not depend on the number of entries, and earlier states are not kept.

use std::cell::RefCell;

use crate::config::{DeltaConfig, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Recording, Slice};

/// Label of the buffers in messages of the device.
const LABEL: &str = "recurrent states";
/// Checkpoints of a conversation besides its beginning: the end of its prompt, and the beginning of drafts.
const SNAPSHOTS: usize = 2;
/// Alignment of bindings in bytes.
const ALIGNMENT: u64 = 256;

/// State of a layer with a gated delta net.
#[derive(Debug, Clone)]
pub struct DeltaState {
    /// Inputs of the convolution of the last three entries. `// [3, channels]`
    pub conv: Slice,
    /// `// [value heads, head_dim, head_dim]`
    pub memory: Slice,
    /// Products of a token and its drafts that are not yet part of the state, if drafts are used. `// [rows, width]`
    pub drafts: Option<Slice>,
}

/// The states of all recurrent layers of a conversation in one buffer, and copies of it as checkpoints. The methods only note the changes;
/// [`Self::catch_up`] makes them before the next pass.
#[derive(Debug)]
pub(super) struct Recurrent {
    config: DeltaConfig,
    /// Offset of the state of each decoder layer.
    places: Vec<Option<u64>>,
    bytes: u64,
    /// Largest number of rows in a pass over drafts; 1 if there are none.
    draft_rows: usize,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Entries that the state includes, or will include after the replay.
    seen: usize,
    /// Entries of `seen` that are rows of the last pass over drafts and still to be replayed by [`Recurrent::catch_up`].
    pending: usize,
    /// Products of that pass, layer by layer.
    drafts: Option<Buffer>,
    /// The state for the next pass; `None` for the empty conversation.
    current: Option<Buffer>,
    /// Checkpoints with their numbers of entries, the latest last.
    snapshots: Vec<(usize, Buffer)>,
    /// Buffers for further checkpoints.
    spare: Vec<Buffer>,
    /// True if `current` must be restored from the last checkpoint.
    goes_back: bool,
    /// True if `current` must be copied to a new checkpoint.
    is_wanted: bool,
}

impl Inner {
    /// Returns true if the state can reach `to` entries without a rewind.
    fn reaches(&self, to: usize) -> bool {
        to >= self.seen - self.pending
    }

    /// Keeps a buffer for another checkpoint, unless another conversation uses it too.
    fn give_back(&mut self, buffer: Buffer) {
        if !buffer.is_shared() {
            self.spare.push(buffer);
        }
    }
}

impl Recurrent {
    /// The state of an empty conversation with passes of at most `draft_rows` rows over drafts; `None` for a decoder without recurrent layers.
    /// Allocates nothing yet.
    pub(super) fn new(config: &TextConfig, draft_rows: usize) -> Option<Self> {
        let delta = config.delta.clone()?;
        let (mut places, mut bytes) = (Vec::with_capacity(config.layers.len()), 0);
        for kind in &config.layers {
            let is_recurrent = *kind == LayerKind::DeltaNet;
            places.push(is_recurrent.then_some(bytes));
            bytes += if is_recurrent { conv_bytes(&delta) + memory_bytes(&delta) } else { 0 };
        }
        Some(Self { config: delta, places, bytes, draft_rows, inner: RefCell::default() })
    }

    /// A state that shares the checkpoints of this one and is at the last of them.
    pub(super) fn fork(&self) -> Self {
        let Self { config, places, bytes, draft_rows, inner } = self;
        let Inner { seen, snapshots, .. } = &*inner.borrow();
        let inner = RefCell::new(Inner { seen: *seen, snapshots: snapshots.clone(), ..Inner::default() });
        Self { config: config.clone(), places: places.clone(), bytes: *bytes, draft_rows: *draft_rows, inner }
    }

    /// Frees all memory except that of the checkpoints, and rewinds to the last of them.
    pub(super) fn make_idle(&self) {
        let seen = self.last_place();
        let inner = &mut *self.inner.borrow_mut();
        let snapshots = std::mem::take(&mut inner.snapshots);
        *inner = Inner { seen, snapshots, goes_back: seen > 0, ..Inner::default() };
    }

    /// Entries at the last checkpoint.
    pub(super) fn last_place(&self) -> usize {
        self.inner.borrow().snapshots.last().map_or(0, |(at, _)| *at)
    }

    /// The number of entries that [`Self::rewind`] would leave.
    pub(super) fn rewind_target(&self, to: usize) -> usize {
        let inner = self.inner.borrow();
        let place = || inner.snapshots.iter().rev().map(|(at, _)| *at).find(|at| *at <= to);
        if inner.reaches(to) { to.min(inner.seen) } else { place().unwrap_or(0) }
    }

    /// Entries at the checkpoints.
    pub(super) fn places(&self) -> Vec<usize> {
        self.inner.borrow().snapshots.iter().map(|(at, _)| *at).collect()
    }

    /// The copy at a checkpoint.
    pub(super) fn place(&self, index: usize) -> Option<Buffer> {
        self.inner.borrow().snapshots.get(index).map(|(_, buffer)| buffer.clone())
    }

    /// Allocates copies for checkpoints at these entries, to be filled by the caller, and is at the last of them. Fails like
    /// [`Allocator::alloc`].
    pub(super) fn restore(&self, gpu: &Gpu, places: &[usize]) -> Result<()> {
        if places.len() > SNAPSHOTS {
            return Err(Error::Internal { detail: format!("{} places of a recurrent state", places.len()) });
        }
        let copy = |at: &usize| Ok((*at, gpu.alloc(LABEL, Purpose::KvCache, self.bytes)?));
        let snapshots: Vec<_> = places.iter().map(copy).collect::<Result<_>>()?;
        let seen = places.last().copied().unwrap_or(0);
        *self.inner.borrow_mut() = Inner { seen, snapshots, goes_back: seen > 0, ..Inner::default() };
        Ok(())
    }

    /// Allocates all buffers.
    pub(super) fn allocate(&self, gpu: &dyn Allocator) -> Result<()> {
        let mut inner = self.inner.borrow_mut();
        let alloc = || gpu.alloc(LABEL, Purpose::KvCache, self.bytes);
        if inner.current.is_none() {
            inner.current = Some(alloc()?);
        }
        while inner.snapshots.len() + inner.spare.len() < SNAPSHOTS {
            let spare = alloc()?;
            inner.spare.push(spare);
        }
        if inner.drafts.is_none() && self.draft_rows > 1 {
            inner.drafts = Some(gpu.alloc("products of drafts", Purpose::KvCache, self.draft_bytes())?);
        }
        Ok(())
    }

    /// Bytes of the states of all layers.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of all checkpoints of a conversation.
    pub(super) fn idle_bytes(&self) -> u64 {
        SNAPSHOTS as u64 * self.bytes
    }

    /// Bytes of the products of a pass over drafts.
    fn draft_bytes(&self) -> u64 {
        self.places.iter().flatten().count() as u64 * self.layer_draft_bytes()
    }

    fn layer_draft_bytes(&self) -> u64 {
        aligned(self.draft_rows * self.config.width())
    }

    /// Counts entries.
    pub(super) fn advance(&self, rows: usize) {
        self.inner.borrow_mut().seen += rows;
    }

    /// Counts the rows of a pass over drafts. Until the next [`Self::catch_up`], the state can be rewound to any of them.
    pub(super) fn advance_drafts(&self, rows: usize) {
        let inner = &mut *self.inner.borrow_mut();
        (inner.seen, inner.pending) = (inner.seen + rows, inner.pending + rows);
    }

    /// Makes a checkpoint of the current state.
    pub(super) fn checkpoint(&self) {
        let mut inner = self.inner.borrow_mut();
        let seen = inner.seen;
        inner.is_wanted = seen > 0 && inner.snapshots.last().is_none_or(|(at, _)| *at != seen);
    }

    /// Rewinds to `to` entries, or to the last checkpoint before. Returns the remaining entries.
    pub(super) fn rewind(&self, to: usize) -> usize {
        let inner = &mut *self.inner.borrow_mut();
        if to >= inner.seen {
            return inner.seen;
        }
        inner.is_wanted = false;
        if inner.reaches(to) {
            inner.pending -= inner.seen - to;
            inner.seen = to;
            return to;
        }
        inner.pending = 0;
        while let Some((_, buffer)) = inner.snapshots.pop_if(|(at, _)| *at > to) {
            inner.give_back(buffer);
        }
        match inner.snapshots.last() {
            Some((at, _)) => (inner.seen, inner.goes_back) = (*at, true),
            None => (inner.seen, inner.goes_back, inner.current) = (0, false, None),
        }
        inner.seen
    }

    /// Brings the state up to date: `bring_forward` records the replay of the pending rows, and requested checkpoints are copied. Work
    /// submitted later finds the state of [`Self::seen`] entries.
    pub(super) fn catch_up(
        &self,
        gpu: &Gpu,
        bring_forward: impl FnOnce(&mut Recording, usize) -> Result<()>,
    ) -> Result<()> {
        self.allocate(gpu)?;
        let (mut copies, pending) = (Recording::on(gpu.kernel_config()), self.inner.borrow().pending);
        if pending > 0 {
            bring_forward(&mut copies, pending)?;
        }
        let inner = &mut *self.inner.borrow_mut();
        let Some(current) = inner.current.clone() else { return Ok(()) };
        let wanted = pending > 0 || inner.goes_back || inner.is_wanted;
        if std::mem::take(&mut inner.goes_back)
            && let Some((_, snapshot)) = inner.snapshots.last()
        {
            copies.copy(snapshot.all(), current.all());
        }
        if std::mem::take(&mut inner.is_wanted) {
            if inner.spare.is_empty() && !inner.snapshots.is_empty() {
                let (_, oldest) = inner.snapshots.remove(0);
                inner.give_back(oldest);
            }
            let buffer = inner.spare.pop().map_or_else(|| gpu.alloc(LABEL, Purpose::KvCache, self.bytes), Ok)?;
            copies.copy(current.all(), buffer.all());
            inner.snapshots.push((inner.seen, buffer));
        }
        if wanted {
            gpu.run("recurrent states", &copies)?;
        }
        inner.pending = 0;
        Ok(())
    }

    /// State of layer `index`; `None` for a layer of another kind.
    pub(super) fn layer(&self, index: usize) -> Option<Result<DeltaState>> {
        let start = (*self.places.get(index)?)?;
        let split = start + conv_bytes(&self.config);
        let Some(current) = self.inner.borrow().current.clone() else {
            return Some(Err(Error::Internal { detail: "a recurrent state without memory".into() }));
        };
        let (conv, memory) = (current.slice(start..split), current.slice(split..split + memory_bytes(&self.config)));
        let (bytes, before) = (self.layer_draft_bytes(), self.places[..index].iter().flatten().count() as u64);
        let drafts =
            self.inner.borrow().drafts.as_ref().map(|drafts| drafts.slice(before * bytes..(before + 1) * bytes));
        Some(Ok(DeltaState { conv, memory, drafts }))
    }

    /// A copy of the state in a buffer of its own. Requires [`Self::catch_up`].
    pub(super) fn save(&self, gpu: &Gpu) -> Result<Option<Buffer>> {
        let Some(current) = self.buffer() else { return Ok(None) };
        let (copy, mut copies) = (gpu.alloc(LABEL, Purpose::KvCache, self.bytes)?, Recording::new());
        copies.copy(current.all(), copy.all());
        gpu.run("recurrent states", &copies)?;
        Ok(Some(copy))
    }

    /// Restores a copy made at `seen` entries.
    pub(super) fn put_back(&self, gpu: &Gpu, copy: &Buffer, seen: usize) -> Result<()> {
        let Some(current) = self.buffer() else { return Ok(()) };
        let mut copies = Recording::new();
        copies.copy(copy.all(), current.all());
        gpu.run("recurrent states", &copies)?;
        let inner = &mut *self.inner.borrow_mut();
        (inner.seen, inner.pending) = (seen, 0);
        Ok(())
    }

    /// The buffer on which passes work.
    pub(super) fn buffer(&self) -> Option<Buffer> {
        self.inner.borrow().current.clone()
    }
}

fn aligned(numbers: usize) -> u64 {
    ((numbers * size_of::<f32>()) as u64).next_multiple_of(ALIGNMENT)
}

fn conv_bytes(delta: &DeltaConfig) -> u64 {
    aligned(3 * delta.channels())
}

fn memory_bytes(delta: &DeltaConfig) -> u64 {
    aligned(delta.value_heads * delta.head_dim * delta.head_dim)
}
