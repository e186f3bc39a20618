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
    /// Bytes of an entry in each plane of a layer.
    entry_bytes: Vec<u64>,
    /// Number of attention layers, and of cross-attention layers.
    layers: [usize; 2],
    /// Bytes of the recurrent states at a checkpoint.
    place_bytes: Option<u64>,
    /// True if pictures have their own positions.
    places_pictures: bool,
}

impl Shape {
    /// The shape of a decoder with states in this precision.
    pub fn new(config: &TextConfig, precision: KvPrecision, place_bytes: u64) -> Self {
        let heads = config.num_key_value_heads as u64;
        let entry_bytes = precision.head_bytes(config.head_dim).iter().map(|bytes| bytes * heads).collect();
        let layers = [config.self_attention_layers(), config.count(LayerKind::CrossAttention)];
        let place_bytes = config.delta.is_some().then_some(place_bytes);
        Self { entry_bytes, layers, place_bytes, places_pictures: config.rope.sections.is_some() }
    }

    /// Bytes of `rows` rows of a page in a layer. Scales are stored by head, so they are counted for the whole page.
    fn page_bytes(&self, rows: usize) -> u64 {
        plane_bytes(&self.entry_bytes, rows).sum()
    }

    /// Clears the scales of entries that a part does not have: their places in the page may hold those of another conversation.
    pub fn clear_unused(&self, part: &Part, bytes: &mut [u8]) {
        let (Held::Entries { entries: rows, .. } | Held::Pictures { rows, .. }) = &part.what else { return };
        let planes: Vec<u64> = plane_bytes(&self.entry_bytes, rows.len()).collect();
        let mut rest = bytes;
        for (plane, bytes) in planes.into_iter().enumerate() {
            let Some((own, others)) = rest.split_at_mut_checked(bytes as usize) else { return };
            rest = others;
            if plane >= 2 {
                own.chunks_mut(PAGE * SCALE).for_each(|head| head[rows.len() * SCALE..].fill(0));
            }
        }
    }

    /// Bytes of `rows` rows, in pages, in each of `layers` layers.
    fn rows_bytes(&self, rows: usize, layers: usize) -> u64 {
        let rest = if rows.is_multiple_of(PAGE) { 0 } else { self.page_bytes(rows % PAGE) };
        let pages = self.page_bytes(PAGE).saturating_mul((rows / PAGE) as u64);
        pages.saturating_add(rest).saturating_mul(layers as u64)
    }

    /// Bytes of all parts of a state.
    pub fn bytes(&self, outline: &Outline) -> u64 {
        let [layers, cross] = self.layers;
        let places = self.place_bytes.unwrap_or(0).saturating_mul(outline.places.len() as u64);
        let rows = self.rows_bytes(outline.entries, layers).saturating_add(self.rows_bytes(outline.shown_rows, cross));
        places.saturating_add(rows)
    }

    /// The parts of a state, in the order in which they are written.
    ///
    /// [`Error::InvalidPackage`] if the parts have more than `most` bytes, and for an outline that no state of this model has.
    pub fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        let [layers, cross] = self.layers;
        let fits = self.place_bytes.is_some() != outline.places.is_empty()
            && (cross > 0 || outline.shown.is_empty())
            && (self.places_pictures || outline.placed.is_empty());
        // Checked before the list is made, which takes no more memory than the parts themselves.
        if !fits || self.bytes(outline) > most {
            return Err(Error::package("snapshot", "it is of another model"));
        }
        let mut parts = Vec::new();
        for first in (0..outline.entries).step_by(PAGE) {
            let entries = first..outline.entries.min(first + PAGE);
            let bytes = self.page_bytes(entries.len());
            parts.extend((0..layers).map(|layer| {
                let what = Held::Entries { layer, entries: entries.clone() };
                Part { bytes, what }
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
            let bytes = self.page_bytes(rows.len());
            parts.extend((0..cross).map(|layer| Part { bytes, what: Held::Pictures { layer, rows: rows.clone() } }));
        }
        Ok(parts)
    }
}

/// Bytes of `rows` rows of a page in each plane: the rows themselves for keys and values, the whole page for scales, which are stored by head.
pub(super) fn plane_bytes(entry_bytes: &[u64], rows: usize) -> impl Iterator<Item = u64> {
    entry_bytes.iter().enumerate().map(move |(plane, bytes)| bytes * (if plane < 2 { rows } else { PAGE }) as u64)
}
