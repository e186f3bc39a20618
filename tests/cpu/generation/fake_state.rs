//! States of the model on the CPU.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use ocelli::state::{ConversationState, Held, Outline, Pages, Part};
use ocelli::{Error, Result};

/// Kind of a state: the entries to which it can be rewound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any entry: keys and values.
    Attention,
    /// Only the last few checkpoints: a recurrence.
    Recurrence,
}

/// Checkpoints that a recurrence keeps.
const SNAPSHOTS: usize = 3;
/// Entries per part of a snapshot.
const PART: usize = 16;
/// Tokens that the model generates: few, so that answers repeat themselves.
const WORDS: Range<u32> = 100..112;

/// Hash of everything seen, and the last two tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    hash: u64,
    last: [u32; 2],
}

impl Seen {
    fn to_bytes(self) -> Vec<u8> {
        [&self.hash.to_le_bytes()[..], &self.last[0].to_le_bytes(), &self.last[1].to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let hash = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self { hash, last: [number(8), number(12)] }
    }

    fn and(self, token: u32) -> Self {
        let mixed =
            (self.hash ^ u64::from(token)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self { hash: mixed ^ (mixed >> 29), last: [self.last[1], token] }
    }

    /// Depends mostly on the last two tokens, sometimes on all of them.
    fn likeliest(self) -> u32 {
        let [a, b] = self.last;
        let of_all = self.hash.is_multiple_of(5);
        WORDS.start + (if of_all { self.hash >> 7 } else { u64::from(a * 3 + b * 5) }) as u32 % WORDS.len() as u32
    }

    pub(super) fn hidden(self, size: usize) -> Vec<f32> {
        (0..size).map(|index| ((self.hash >> (index % 48)) & 0xff) as f32 / 256.0 - 0.5).collect() // [size]
    }

    pub(super) fn logits(self, vocab: usize) -> Vec<f32> {
        let likeliest = self.likeliest();
        let other = |id: u32| ((self.hash >> (id % 48)) & 0xff) as f32 / 256.0;
        (0..vocab as u32)
            .map(|id| {
                if id == likeliest {
                    4.0
                } else if WORDS.contains(&id) {
                    other(id)
                } else {
                    -9.0
                }
            })
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct FakeState {
    kind: Kind,
    pub(super) device: usize,
    pages: Rc<RefCell<Pages>>,
    /// Its pages.
    pub(super) list: u64,
    /// Hashes after every entry (attention) or after the last one (recurrence), and the number of entries.
    pub(super) seen: Vec<Seen>,
    at: usize,
    snapshots: Vec<(usize, Seen)>,
    /// Recurrence only: hashes before the last draft pass and after each of its rows.
    drafts: Vec<(usize, Seen)>,
}

impl Drop for FakeState {
    fn drop(&mut self) {
        self.pages.borrow_mut().close(self.list);
    }
}

impl FakeState {
    pub(super) fn new(kind: Kind, device: usize, pages: &Rc<RefCell<Pages>>) -> Self {
        let (pages, list) = (pages.clone(), pages.borrow_mut().open());
        Self { kind, device, pages, list, seen: Vec::new(), at: 0, snapshots: Vec::new(), drafts: Vec::new() }
    }

    /// The hash of all entries, which the pages must still hold.
    fn now(&self) -> Seen {
        assert_eq!(self.at, self.len(), "it continues without pages that were evicted");
        self.seen.last().copied().unwrap_or_default()
    }

    pub(super) fn push(&mut self, token: u32) -> Seen {
        self.drafts.clear();
        self.add(token)
    }

    /// Adds rows that can be rewound until something else is computed.
    pub(super) fn push_drafts(&mut self, tokens: &[u32]) -> Vec<Seen> {
        self.drafts = vec![(self.at, self.now())];
        let mut push = |&token: &u32| {
            let next = self.add(token);
            self.drafts.push((self.at, next));
            next
        };
        tokens.iter().map(&mut push).collect()
    }

    fn add(&mut self, token: u32) -> Seen {
        let next = self.now().and(token);
        if self.kind == Kind::Recurrence {
            self.seen.clear();
        }
        self.seen.push(next);
        self.at += 1;
        self.pages.borrow_mut().advance(self.list, 1);
        next
    }
}

/// Snapshots, in the format of a device's states.
impl FakeState {
    pub(super) fn outline(&self) -> Outline {
        let places: Vec<usize> = self.snapshots.iter().map(|(at, _)| *at).filter(|at| *at > 0).collect();
        let whole = Outline { entries: self.len(), places, ..Outline::default() };
        if self.kind == Kind::Recurrence && whole.places.is_empty() {
            Outline::default()
        } else {
            whole.cut(self.len())
        }
    }

    pub(super) fn parts(kind: Kind, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        let count = if kind == Kind::Attention { outline.entries } else { outline.places.len() } as u64;
        if count * 16 > most || (kind == Kind::Recurrence) == outline.places.is_empty() || !outline.shown.is_empty() {
            return Err(Error::package("snapshot", "it is of another model"));
        }
        let page = |first: usize| {
            let entries = first..outline.entries.min(first + PART);
            Part { bytes: 16 * entries.len() as u64, what: Held::Entries { layer: 0, entries } }
        };
        let place = |place: usize| Part { bytes: 16, what: Held::Place { place, bytes: 0..16 } };
        Ok(match kind {
            Kind::Attention => (0..outline.entries).step_by(PART).map(page).collect(),
            Kind::Recurrence => (0..outline.places.len()).map(place).collect(),
        })
    }

    pub(super) fn read_part(&self, part: &Part) -> Vec<u8> {
        match &part.what {
            Held::Entries { entries, .. } => {
                assert!(entries.end <= self.len(), "pages that were taken from it");
                self.seen[entries.clone()].iter().flat_map(|seen| seen.to_bytes()).collect()
            }
            Held::Place { place, .. } => {
                let places: Vec<_> = self.snapshots.iter().filter(|(at, _)| *at > 0).collect();
                places[*place].1.to_bytes()
            }
            Held::Pictures { .. } => unreachable!("no pictures here"),
        }
    }

    /// Prepares a state in reserved pages, whose parts follow.
    pub(super) fn restore(&mut self, outline: &Outline) {
        self.pages.borrow_mut().advance(self.list, outline.entries);
        self.at = outline.entries;
        let held = if self.kind == Kind::Attention { outline.entries } else { 1 };
        self.seen = vec![Seen::default(); held];
        self.snapshots = outline.places.iter().map(|at| (*at, Seen::default())).collect();
    }

    pub(super) fn write_part(&mut self, part: &Part, bytes: &[u8]) {
        let read = bytes.chunks_exact(16).map(Seen::from_bytes);
        match &part.what {
            Held::Entries { entries, .. } => {
                // A part may be longer than the entries that are restored.
                self.seen.iter_mut().skip(entries.start).zip(read).for_each(|(seen, read)| *seen = read);
            }
            Held::Place { place, .. } => {
                let read = Seen::from_bytes(bytes);
                self.snapshots[*place].1 = read;
                if *place + 1 == self.snapshots.len() {
                    self.seen = vec![read];
                }
            }
            Held::Pictures { .. } => unreachable!("no pictures here"),
        }
    }
}

impl ConversationState for FakeState {
    fn len(&self) -> usize {
        self.pages.borrow().len(self.list)
    }

    fn checkpoint(&mut self) {
        if self.kind == Kind::Recurrence && self.snapshots.last().is_none_or(|(at, _)| *at != self.at) {
            self.snapshots.push((self.at, self.now()));
            if self.snapshots.len() > SNAPSHOTS {
                self.snapshots.remove(0);
            }
        }
    }

    fn rewind(&mut self, to: usize) -> usize {
        let left = self.rewind_target(to);
        self.pages.borrow_mut().rewind(self.list, left);
        if left < self.at {
            self.seen.truncate(left);
            if self.kind == Kind::Recurrence {
                self.snapshots.retain(|(at, _)| *at <= left);
                self.drafts.retain(|(at, _)| *at <= left);
                let last = self.drafts.last().or(self.snapshots.last());
                self.seen = last.map(|(_, seen)| *seen).into_iter().collect();
            }
            self.at = left;
        }
        left
    }

    fn rewind_target(&self, to: usize) -> usize {
        let left = self.len().min(to);
        let place = || self.snapshots.iter().rev().map(|(at, _)| *at).find(|at| *at <= left);
        let is_in_drafts = self.drafts.first().is_some_and(|(at, _)| *at <= left);
        if self.kind == Kind::Attention || left >= self.at || is_in_drafts { left } else { place().unwrap_or(0) }
    }

    fn idle_len(&self) -> usize {
        let last = || self.rewind_target(self.snapshots.last().map_or(0, |(at, _)| *at));
        if self.kind == Kind::Attention { self.len() } else { last() }
    }

    fn fork(&self) -> Self {
        let (pages, list) = (self.pages.clone(), self.pages.borrow_mut().fork(self.list));
        let (seen, snapshots) = (self.seen.clone(), self.snapshots.clone());
        let (kind, device, at, drafts) = (self.kind, self.device, self.at, Vec::new());
        let mut fork = Self { kind, device, pages, list, seen, at, snapshots, drafts };
        fork.make_idle();
        fork
    }

    fn pin(&mut self, pinned: bool) {
        self.pages.borrow_mut().pin(self.list, pinned);
    }

    fn make_idle(&mut self) -> usize {
        self.drafts.clear();
        self.rewind(self.idle_len())
    }
}
