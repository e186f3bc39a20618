//! File format of snapshots: head, parts of the state, hashes.
//!
//! ```text
//! head     magic, version, bytes of the head; identity; rates; entries and pictures; outline of the state; passes
//! parts    in the order of the model's list
//! trailer  SHA-256 of each part, then SHA-256 of head and trailer up to here
//! ```
//!
//! Numbers are little-endian. Before an allocation, lengths are checked against the length of the file.

use sha2::{Digest, Sha256};

use super::rates::Rates;
use crate::config::ImageGrid;
use crate::engine::conversation::history::PastPass;
use crate::engine::prompt::{ContextEntry, Scope};
use crate::error::{Error, Result};
use crate::image::Fingerprint;
use crate::state::Outline;

/// First bytes of every version.
pub(super) const MAGIC: &[u8; 8] = b"OCELLIKV";
/// Changes with the layout of the file or of its parts.
const VERSION: u32 = 2;
/// Bytes of a hash.
pub const HASH: usize = 32;
/// Bytes up to and including the length of the head.
pub const PREFIX: usize = 16;
/// Lists of a head.
const LISTS: usize = 7;
/// Most cells of a picture: far more than any model accepts.
const MOST_CELLS: usize = 1 << 24;

/// Size at which a picture was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedAs {
    /// Hash of the picture and of all that bounds its size: see `SizedPicture::sizing`.
    pub sizing: Fingerprint,
    /// Longest edge in pixels.
    pub edge: usize,
}

/// Head of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Hash of all that results depend on besides the conversation: model, precision, engine, device.
    pub identity: Fingerprint,
    /// Rates of the device, as measured before writing.
    pub rates: Rates,
    /// Entries of the conversation.
    pub entries: Vec<ContextEntry>,
    /// Sizes at which its pictures were shown.
    pub sizes: Vec<SizedAs>,
    /// Outline of its state.
    pub outline: Outline,
    /// Passes that computed the state.
    pub passes: Vec<PastPass>,
    /// Entries before the last fork point of a recurrent state; 0 for none.
    pub branch: usize,
}

/// Error for a snapshot with the wrong content, in contrast to one that cannot be read at the moment.
pub(super) fn damaged(reason: &str) -> Error {
    Error::package("snapshot", reason)
}

/// Returns the length of the head of a file of `file` bytes that begins with `prefix`.
///
/// # Errors
/// [`Error::InvalidPackage`] if it is not a snapshot of this version.
pub fn head_bytes(prefix: &[u8], file: u64) -> Result<u64> {
    let mut reader = Reader(prefix);
    if reader.take(MAGIC.len())? != MAGIC || reader.number()? != VERSION {
        return Err(damaged("it is no snapshot of this version"));
    }
    let bytes = u64::from(reader.number()?);
    if bytes < PREFIX as u64 || bytes.saturating_add(HASH as u64) > file {
        return Err(damaged("its head is longer than the file"));
    }
    Ok(bytes)
}

impl Head {
    /// Encodes the head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { identity, rates, entries, sizes, outline, passes, branch } = self;
        let mut pictures: Vec<Fingerprint> = entries.iter().filter_map(ContextEntry::fingerprint).collect();
        pictures.dedup();
        let mut out = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4], identity].concat();
        let put = |out: &mut Vec<u8>, number: usize| out.extend((number as u32).to_le_bytes());
        rates.known().iter().for_each(|rate| out.extend(rate.to_le_bytes()));
        let Outline { placed, places, shown, shown_rows, .. } = outline;
        let lengths =
            [entries.len(), pictures.len(), sizes.len(), placed.len(), places.len(), shown.len(), passes.len()];
        lengths.into_iter().chain([*shown_rows, *branch]).for_each(|number| put(&mut out, number));
        let scope = match entries.first() {
            Some(ContextEntry::First { scope, .. }) => *scope,
            _ => Scope::SHARED,
        };
        out.extend(scope.number().to_le_bytes());
        let mut picture = 0;
        for entry in entries {
            let [kind, value] = match entry {
                ContextEntry::Token(token) | ContextEntry::First { token, .. } => [0, *token as usize],
                ContextEntry::Picture { fingerprint, row } => {
                    // Rows of a picture are adjacent.
                    while pictures.get(picture).is_some_and(|listed| listed != fingerprint) {
                        picture += 1;
                    }
                    [picture + 1, *row as usize]
                }
            };
            put(&mut out, kind);
            put(&mut out, value);
        }
        pictures.iter().for_each(|fingerprint| out.extend(fingerprint));
        for SizedAs { sizing, edge } in sizes {
            out.extend(sizing);
            put(&mut out, *edge);
        }
        // Positions do not depend on slices.
        for (first, ImageGrid { rows, cols, .. }) in placed {
            [*first, *rows, *cols].into_iter().for_each(|number| put(&mut out, number));
        }
        places.iter().chain(shown).for_each(|number| put(&mut out, *number));
        for PastPass { first, rows, is_step } in passes {
            put(&mut out, *first);
            put(&mut out, *rows << 1 | usize::from(*is_step));
        }
        let bytes = out.len() as u32;
        out[PREFIX - 4..PREFIX].copy_from_slice(&bytes.to_le_bytes());
        out
    }

    /// Decodes a whole head.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if the head contradicts itself.
    pub fn parse(head: &[u8]) -> Result<Self> {
        let mut reader = Reader(head.get(PREFIX..).unwrap_or_default());
        let identity = reader.hash()?;
        let rates = Rates::new([reader.float()?, reader.float()?, reader.float()?]);
        let mut lengths = [0; LISTS];
        for length in &mut lengths {
            *length = reader.count()?;
        }
        let [shown_rows, branch] = reader.counts()?;
        let [low, high] = [reader.number()?, reader.number()?].map(u64::from);
        let scope = Scope::from_number(high << 32 | low);
        let item_bytes = [8, HASH, HASH + 4, 12, 4, 4, 8];
        let wanted: u64 = lengths.iter().zip(item_bytes).map(|(count, bytes)| *count as u64 * bytes as u64).sum();
        if wanted != reader.0.len() as u64 {
            return Err(damaged("its lists are not as long as it says"));
        }
        let [entries, pictures, sizes, placed, places, shown, passes] = lengths;
        let coded: Vec<[usize; 2]> = (0..entries).map(|_| reader.counts()).collect::<Result<_>>()?;
        let pictures: Vec<Fingerprint> = (0..pictures).map(|_| reader.hash()).collect::<Result<_>>()?;
        let entry = |&[kind, value]: &[usize; 2]| match kind {
            0 => Ok(ContextEntry::Token(value as u32)),
            kind => {
                let fingerprint = pictures.get(kind - 1).copied().ok_or_else(|| damaged("it names no picture"))?;
                Ok(ContextEntry::Picture { fingerprint, row: value as u32 })
            }
        };
        let mut entries: Vec<ContextEntry> = coded.iter().map(entry).collect::<Result<_>>()?;
        if let (Some(first @ &mut ContextEntry::Token(token)), false) = (entries.first_mut(), scope == Scope::SHARED) {
            *first = ContextEntry::First { token, scope };
        }
        let size = |reader: &mut Reader<'_>| Ok(SizedAs { sizing: reader.hash()?, edge: reader.count()? });
        let sizes = (0..sizes).map(|_| size(&mut reader)).collect::<Result<_>>()?;
        let place = |reader: &mut Reader<'_>| {
            let (first, [rows, cols]) = (reader.count()?, reader.counts()?);
            Ok((first, ImageGrid::new(rows, cols)))
        };
        let placed = (0..placed).map(|_| place(&mut reader)).collect::<Result<_>>()?;
        let places = (0..places).map(|_| reader.count()).collect::<Result<_>>()?;
        let shown = (0..shown).map(|_| reader.count()).collect::<Result<_>>()?;
        let pass = |reader: &mut Reader<'_>| {
            let [first, rows] = reader.counts()?;
            Ok(PastPass { first, rows: rows >> 1, is_step: rows & 1 == 1 })
        };
        let passes = (0..passes).map(|_| pass(&mut reader)).collect::<Result<_>>()?;
        let outline = Outline { entries: entries.len(), placed, places, shown, shown_rows };
        let head = Self { identity, rates, entries, sizes, outline, passes, branch };
        if head.is_sound() { Ok(head) } else { Err(damaged("its lists contradict one another")) }
    }

    /// Returns true if a conversation can have these lists.
    fn is_sound(&self) -> bool {
        let Self { entries, outline, passes, .. } = self;
        let Outline { placed, places, shown, shown_rows, .. } = outline;
        let increases = |numbers: &[usize]| numbers.windows(2).all(|pair| pair[0] < pair[1]);
        // The last picture may have been cut; no other one overlaps its successor.
        let cells = |grid: &ImageGrid| grid.rows.saturating_mul(grid.cols);
        let is_apart = |pair: &[(usize, ImageGrid)]| pair[0].0.saturating_add(cells(&pair[0].1)) <= pair[1].0;
        let is_picture_of =
            |(first, grid): &(usize, ImageGrid)| *first < entries.len() && (1..=MOST_CELLS).contains(&cells(grid));
        let is_picture = |entry: &usize| entries.get(*entry).is_some_and(|entry| entry.fingerprint().is_some());
        let starts: Vec<usize> = passes.iter().map(|pass| pass.first).collect();
        let ends = starts.iter().skip(1).copied().chain([entries.len()]);
        let covers = |(pass, end): (&PastPass, usize)| {
            let kept = end.saturating_sub(pass.first);
            kept > 0 && kept <= pass.rows && (!pass.is_step || pass.rows == 1)
        };
        !entries.is_empty()
            && placed.windows(2).all(is_apart)
            && placed.iter().all(is_picture_of)
            && increases(places)
            && places.first() != Some(&0)
            && places.last().is_none_or(|last| *last == entries.len())
            && increases(shown)
            && shown.iter().all(is_picture)
            && shown.is_empty() == (*shown_rows == 0)
            && starts.first() == Some(&0)
            && passes.iter().zip(ends).all(covers)
    }
}

/// Trailer of a file: the hashes of its parts, then the hash of the head and these hashes.
pub fn trailer(head: &[u8], hashes: &[Fingerprint]) -> Vec<u8> {
    let hashes = hashes.concat();
    let seal: Fingerprint = Sha256::new().chain_update(head).chain_update(&hashes).finalize().into();
    [&hashes[..], &seal].concat()
}

/// Reads the hashes of the parts from a trailer.
///
/// # Errors
/// [`Error::InvalidPackage`] if the trailer does not match the head.
pub fn hashes(head: &[u8], found: &[u8]) -> Result<Vec<Fingerprint>> {
    let count = (found.len() / HASH).saturating_sub(1);
    let hashes: Vec<Fingerprint> =
        found.chunks_exact(HASH).take(count).filter_map(|hash| hash.try_into().ok()).collect();
    if trailer(head, &hashes) == found { Ok(hashes) } else { Err(damaged("its hash is another")) }
}

/// Bytes left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged("it ends too early"))
    }

    fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize> {
        self.number().map(|number| number as usize)
    }

    fn counts(&mut self) -> Result<[usize; 2]> {
        Ok([self.count()?, self.count()?])
    }

    fn float(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn hash(&mut self) -> Result<Fingerprint> {
        self.array()
    }
}
