//! The parts of a conversation's state that are written to a file.

use std::ops::Range;

use crate::config::{ImageGrid, KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::kernels::cache::PAGE;

/// Largest part of a recurrent state in bytes.
const PIECE: u64 = 1 << 20;

/// Bytes of the scales of an entry in one head.
const SCALE: usize = 4;

/// Contents of a state. Its size in bytes follows from them and from the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Entries.
    pub entries: usize,
    /// First entries and grids of the pictures that have their own positions.
    pub placed: Vec<(usize, ImageGrid)>,
    /// Entries at the checkpoints of recurrent layers, increasing; the last one is the end. Empty without such layers.
    pub places: Vec<usize>,
    /// Entries of the pictures that have their own keys and values.
    pub shown: Vec<usize>,
    /// Rows of the visible pictures.
    pub shown_rows: usize,
}

/// A part of a state, written and read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its length.
    pub bytes: u64,
    /// Contents.
    pub what: Held,
}

/// Contents of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Keys and values of entries of one page, in one attention layer.
    Entries {
        /// Index among the attention layers.
        layer: usize,
        /// The entries.
        entries: Range<usize>,
    },
    /// Some bytes of the recurrent states at a checkpoint.
    Place {
        /// Index of the checkpoint.
        place: usize,
        /// Its bytes.
        bytes: Range<u64>,
    },
    /// Keys and values of the visible pictures, in one cross-attention layer.
    Pictures {
        /// Index among the cross-attention layers.
        layer: usize,
        /// Their rows.
        rows: Range<usize>,
    },
}

impl Part {
    /// Returns true if a state with this outline needs the part; the part must belong to a state that holds at least as much.
    pub fn is_of(&self, outline: &Outline) -> bool {
        match &self.what {
            Held::Entries { entries, .. } => entries.start < outline.entries,
            Held::Place { place, .. } => *place < outline.places.len(),
            Held::Pictures { .. } => outline.shown_rows > 0,
        }
    }
}

impl Outline {
    /// The outline after rewinding to at most `to` entries.
    #[must_use]
    pub fn cut(&self, to: usize) -> Self {
        let mut left = self.entries.min(to);
        let (mut shown, mut shown_rows) = (self.shown.clone(), self.shown_rows);
        let first = self.shown.first().copied().unwrap_or(usize::MAX);
        let hides_some = self.shown.last().is_some_and(|last| *last >= left);
        if hides_some || shown_rows == 0 {
            // Other pictures would be visible, whose keys and values no longer exist.
            left = left.min(first);
            (shown, shown_rows) = (Vec::new(), 0);
        }
        let mut places = self.places.clone();
        places.retain(|place| *place <= left);
        if !self.places.is_empty() {
            left = places.last().copied().unwrap_or(0);
        }
        let placed = self.placed.iter().copied().filter(|(first, _)| *first < left).collect();
        Self { entries: left, placed, places, shown, shown_rows }
    }
}

/// Sizes that determine the bytes of a model's states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of an entry in each plane, for each attention layer with keys and values of its own.
    entry_bytes: Vec<Vec<u64>>,
    /// Bytes of a picture's row in each plane, for each cross-attention layer.
    picture_bytes: Vec<Vec<u64>>,
    /// Bytes of the recurrent states at a checkpoint.
    place_bytes: Option<u64>,
    /// True if pictures have their own positions.
    places_pictures: bool,
}

impl Shape {
    /// The shape of a decoder with states in this precision.
    pub fn new(config: &TextConfig, precision: KvPrecision, place_bytes: u64) -> Self {
        let of_layer = |layer| config.entry_bytes(layer, precision);
        let is_cross = |layer: &usize| config.layers[*layer] == LayerKind::CrossAttention;
        let entry_bytes = config.kv_layers().map(of_layer).collect();
        let picture_bytes = (0..config.layers.len()).filter(is_cross).map(of_layer).collect();
        let place_bytes = config.delta.is_some().then_some(place_bytes);
        Self { entry_bytes, picture_bytes, place_bytes, places_pictures: config.rope.sections.is_some() }
    }

    /// Clears the scales of entries that a part does not have: their places in the page may hold those of another conversation.
    pub fn clear_unused(&self, part: &Part, bytes: &mut [u8]) {
        let (layers, layer, rows) = match &part.what {
            Held::Entries { layer, entries } => (&self.entry_bytes, layer, entries),
            Held::Pictures { layer, rows } => (&self.picture_bytes, layer, rows),
            Held::Place { .. } => return,
        };
        let planes: Vec<u64> = layers.get(*layer).map_or(Vec::new(), |layer| plane_bytes(layer, rows.len()).collect());
        let mut rest = bytes;
        for (plane, bytes) in planes.into_iter().enumerate() {
            let Some((own, others)) = rest.split_at_mut_checked(bytes as usize) else { return };
            rest = others;
            if plane >= 2 {
                own.chunks_mut(PAGE * SCALE).for_each(|head| head[rows.len() * SCALE..].fill(0));
            }
        }
    }

    /// Bytes of all parts of a state.
    pub fn bytes(&self, outline: &Outline) -> u64 {
        let places = self.place_bytes.unwrap_or(0).saturating_mul(outline.places.len() as u64);
        let rows = rows_bytes(&self.entry_bytes, outline.entries);
        places.saturating_add(rows).saturating_add(rows_bytes(&self.picture_bytes, outline.shown_rows))
    }

    /// The parts of a state, in the order in which they are written.
    ///
    /// [`Error::InvalidPackage`] if the parts have more than `most` bytes, and for an outline that no state of this model has.
    pub fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        let fits = self.place_bytes.is_some() != outline.places.is_empty()
            && (!self.picture_bytes.is_empty() || outline.shown.is_empty())
            && (self.places_pictures || outline.placed.is_empty());
        // Checked before the list is made, which takes no more memory than the parts themselves.
        if !fits || self.bytes(outline) > most {
            return Err(Error::package("snapshot", "it is of another model"));
        }
        let mut parts = Vec::new();
        for first in (0..outline.entries).step_by(PAGE) {
            let entries = first..outline.entries.min(first + PAGE);
            parts.extend(self.entry_bytes.iter().enumerate().map(|(layer, planes)| {
                let what = Held::Entries { layer, entries: entries.clone() };
                Part { bytes: plane_bytes(planes, entries.len()).sum(), what }
            }));
        }
        for place in 0..outline.places.len() {
            let end = self.place_bytes.unwrap_or(0);
            for first in (0..end).step_by(PIECE as usize) {
                let bytes = first..end.min(first + PIECE);
                parts.push(Part { bytes: bytes.end - first, what: Held::Place { place, bytes } });
            }
        }
        for first in (0..outline.shown_rows).step_by(PAGE) {
            let rows = first..outline.shown_rows.min(first + PAGE);
            parts.extend(self.picture_bytes.iter().enumerate().map(|(layer, planes)| {
                let what = Held::Pictures { layer, rows: rows.clone() };
                Part { bytes: plane_bytes(planes, rows.len()).sum(), what }
            }));
        }
        Ok(parts)
    }
}

/// Bytes of `rows` rows of a page in each plane: the rows themselves for keys and values, the whole page for scales, which are stored by head.
pub(super) fn plane_bytes(entry_bytes: &[u64], rows: usize) -> impl Iterator<Item = u64> {
    entry_bytes.iter().enumerate().map(move |(plane, bytes)| bytes * (if plane < 2 { rows } else { PAGE }) as u64)
}

/// Bytes of `rows` rows, in pages, in all layers. Scales are stored by head, so they are counted for the whole page.
fn rows_bytes(layers: &[Vec<u64>], rows: usize) -> u64 {
    let page = |rows: usize| layers.iter().flat_map(|planes| plane_bytes(planes, rows)).sum::<u64>();
    let rest = if rows.is_multiple_of(PAGE) { 0 } else { page(rows % PAGE) };
    page(PAGE).saturating_mul((rows / PAGE) as u64).saturating_add(rest)
}
