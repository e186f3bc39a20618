//! What of a conversation's state can be written down, and in which parts.

use std::ops::Range;

use crate::config::{ImageGrid, KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::kernels::cache::PAGE;

/// Bytes of a part of what recurrent layers remember, at most.
const PIECE: u64 = 1 << 20;

/// What a state holds. Its bytes follow from this and from the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Entries.
    pub entries: usize,
    /// First entries and grids of the pictures with positions of their own.
    pub placed: Vec<(usize, ImageGrid)>,
    /// Entries before the places that recurrent layers remember, increasing; the last one is the end. None without such layers.
    pub places: Vec<usize>,
    /// Entries of the pictures with keys and values of their own.
    pub shown: Vec<usize>,
    /// Rows of those in sight.
    pub shown_rows: usize,
}

/// A part of a state: what is written and read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub what: Held,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Keys and values of entries of one page, in one of the layers of attention.
    Entries {
        /// Which of those layers.
        layer: usize,
        /// The entries.
        entries: Range<usize>,
    },
    /// Some bytes of what recurrent layers remember of a place.
    Place {
        /// Which place.
        place: usize,
        /// Its bytes.
        bytes: Range<u64>,
    },
    /// Keys and values of the pictures in sight, in one of the layers of cross-attention.
    Pictures {
        /// Which of those layers.
        layer: usize,
        /// Their rows.
        rows: Range<usize>,
    },
}

impl Part {
    /// Whether a state of this outline needs it; the part is one of a state that holds at least as much.
    pub fn is_of(&self, outline: &Outline) -> bool {
        match &self.what {
            Held::Entries { entries, .. } => entries.start < outline.entries,
            Held::Place { place, .. } => *place < outline.places.len(),
            Held::Pictures { .. } => outline.shown_rows > 0,
        }
    }
}

impl Outline {
    /// What is left of it behind the first `to` entries at most.
    #[must_use]
    pub fn cut(&self, to: usize) -> Self {
        let mut left = self.entries.min(to);
        let (mut shown, mut shown_rows) = (self.shown.clone(), self.shown_rows);
        let first = self.shown.first().copied().unwrap_or(usize::MAX);
        let hides_some = self.shown.last().is_some_and(|last| *last >= left);
        if hides_some || shown_rows == 0 {
            // Other pictures would be in sight, whose keys and values are not there any more.
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

/// What decides how many bytes the states of a model take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of an entry in each plane of a layer.
    entry_bytes: Vec<u64>,
    /// Layers of attention, and of cross-attention.
    layers: [usize; 2],
    /// Bytes of what recurrent layers remember of a place.
    place_bytes: Option<u64>,
    /// Whether pictures have positions of their own.
    places_pictures: bool,
}

impl Shape {
    /// Of a decoder whose states are held in this precision.
    pub fn new(config: &TextConfig, precision: KvPrecision, place_bytes: u64) -> Self {
        let heads = config.num_key_value_heads as u64;
        let entry_bytes = precision.head_bytes(config.head_dim).iter().map(|bytes| bytes * heads).collect();
        let layers = [LayerKind::FullAttention, LayerKind::CrossAttention].map(|kind| config.count(kind));
        let place_bytes = config.delta.is_some().then_some(place_bytes);
        Self { entry_bytes, layers, place_bytes, places_pictures: config.rope.sections.is_some() }
    }

    /// Bytes of so many rows of a page in a layer. Scales lie head by head: all of the page's.
    fn page_bytes(&self, rows: usize) -> u64 {
        plane_bytes(&self.entry_bytes, rows).sum()
    }

    /// Bytes of so many rows in pages of one of so many layers.
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
    /// # Errors
    /// [`Error::Io`] where they would take more bytes than `most`, and for an outline that no state of this model has.
    pub fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        let [layers, cross] = self.layers;
        let fits = self.place_bytes.is_some() != outline.places.is_empty()
            && (cross > 0 || outline.shown.is_empty())
            && (self.places_pictures || outline.placed.is_empty());
        // Before anything is listed: a list takes no more than what it lists.
        if !fits || self.bytes(outline) > most {
            return Err(Error::Io { path: "snapshot".into(), reason: "it is of another model".into() });
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

/// Bytes of so many rows of a page in each plane: of keys and values those rows, of scales, which lie head by head, the whole page.
pub(super) fn plane_bytes(entry_bytes: &[u64], rows: usize) -> impl Iterator<Item = u64> {
    entry_bytes.iter().enumerate().map(move |(plane, bytes)| bytes * (if plane < 2 { rows } else { PAGE }) as u64)
}
