//! The assignment of a pool's pages to conversations. Independent of the device.

use std::collections::BTreeMap;

use crate::kernels::cache::PAGE;

/// The pages of a pool, and for each conversation the list of its pages in the order of its entries. A page that is in several lists is no
/// longer written.
#[derive(Debug, Default)]
pub struct Pages {
    /// Number of lists that contain each page.
    counts: Vec<u32>,
    lists: BTreeMap<u64, List>,
    /// Lists opened and reservations made so far.
    opened: u64,
    reserved: u64,
}

/// The pages of a conversation.
#[derive(Debug, Clone, Default)]
struct List {
    pages: Vec<u32>,
    /// Entries.
    len: usize,
    /// Serial number of the last reservation.
    used: u64,
    /// True if its pages must not be taken.
    pinned: bool,
}

impl Pages {
    /// Number of pages.
    pub fn total(&self) -> usize {
        self.counts.len()
    }

    /// Number of pages in no list.
    pub fn free(&self) -> usize {
        self.counts.iter().filter(|count| **count == 0).count()
    }

    /// Number of pages up to the last one that is in a list.
    pub fn used(&self) -> usize {
        self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1)
    }

    /// Sets the number of pages, at least [`Self::used`].
    pub fn resize(&mut self, total: usize) {
        self.counts.resize(total.max(self.used()), 0);
    }

    /// A new list, without entries.
    pub fn open(&mut self) -> u64 {
        self.add(List::default())
    }

    /// A list with the entries and the pages of another; an empty one if there is no such list.
    pub fn fork(&mut self, list: u64) -> u64 {
        let mut copy = self.lists.get(&list).cloned().unwrap_or_default();
        copy.pinned = false;
        copy.pages.truncate(copy.len.div_ceil(PAGE));
        copy.pages.iter().for_each(|&page| self.counts[page as usize] += 1);
        self.add(copy)
    }

    fn add(&mut self, list: List) -> u64 {
        self.opened += 1;
        self.lists.insert(self.opened, list);
        self.opened
    }

    /// Removes a list.
    pub fn close(&mut self, list: u64) {
        self.truncate(list, 0);
        self.lists.remove(&list);
    }

    /// Shortens a list to at most this many pages, and to the entries in them.
    fn truncate(&mut self, list: u64, pages: usize) {
        let Some(list) = self.lists.get_mut(&list) else { return };
        list.len = list.len.min(pages * PAGE);
        for page in list.pages.drain(pages.min(list.pages.len())..) {
            self.counts[page as usize] -= 1;
        }
    }

    /// Entries of a list.
    pub fn len(&self, list: u64) -> usize {
        self.lists.get(&list).map_or(0, |list| list.len)
    }

    /// The pages of a list.
    pub fn list(&self, list: u64) -> &[u32] {
        self.lists.get(&list).map_or(&[], |list| &list.pages)
    }

    /// Counts entries whose pages were [taken](Self::take).
    pub fn advance(&mut self, list: u64, entries: usize) {
        if let Some(list) = self.lists.get_mut(&list) {
            list.len += entries;
        }
    }

    /// Shortens a list to `to` entries and keeps its pages for later ones. Returns the remaining entries.
    pub fn rewind(&mut self, list: u64, to: usize) -> usize {
        let Some(list) = self.lists.get_mut(&list) else { return 0 };
        list.len = list.len.min(to);
        list.len
    }

    /// Frees the unused pages at the ends of all lists except `list` and pinned ones.
    pub fn give_back(&mut self, list: Option<u64>) {
        let others = self.lists.iter().filter(|(key, other)| Some(**key) != list && !other.pinned);
        let needed: Vec<(u64, usize)> = others.map(|(key, other)| (*key, other.len.div_ceil(PAGE))).collect();
        needed.into_iter().for_each(|(key, pages)| self.truncate(key, pages));
    }

    /// Number of free pages that `entries` more entries need.
    pub fn missing(&self, list: u64, entries: usize) -> usize {
        let Some(list) = self.lists.get(&list) else { return 0 };
        let [first, end] = list.written(entries);
        let held = &list.pages[first.min(list.pages.len())..end.min(list.pages.len())];
        let shared = held.iter().filter(|&&page| self.counts[page as usize] > 1).count();
        end - first - held.len() + shared
    }

    /// Returns true if the next entries of a list go to a page that is also in other lists and already has entries of this one.
    pub fn shares_last(&self, list: u64) -> bool {
        let last = self.lists.get(&list).filter(|list| !list.len.is_multiple_of(PAGE));
        last.and_then(|list| list.pages.get(list.len / PAGE)).is_some_and(|&page| self.counts[page as usize] > 1)
    }

    /// Takes pages for `entries` more entries, as many as are [missing](Self::missing), which must be free. Other lists stay unchanged. Returns
    /// the source and destination of a page to copy first, if the list [shares its last page](Self::shares_last).
    pub fn take(&mut self, list: u64, entries: usize) -> Option<[u32; 2]> {
        let list = self.lists.get_mut(&list)?;
        self.reserved += 1;
        list.used = self.reserved;
        let (mut copy, [first, end]) = (None, list.written(entries));
        for index in first..end {
            let held = list.pages.get(index).copied();
            if held.is_some_and(|page| self.counts[page as usize] == 1) {
                continue;
            }
            // The free page with the lowest number, so that unused pages are at the end of the pool and can be freed.
            let taken = self.counts.iter().position(|count| *count == 0)?;
            self.counts[taken] = 1;
            let Some(held) = held else {
                list.pages.push(taken as u32);
                continue;
            };
            self.counts[held as usize] -= 1;
            list.pages[index] = taken as u32;
            if index * PAGE < list.len {
                copy = Some([held, taken as u32]);
            }
        }
        copy
    }

    /// Pins a list, whose pages are then never taken, and frees its unused pages; or unpins it.
    pub fn pin(&mut self, list: u64, pinned: bool) {
        self.truncate(list, self.len(list).div_ceil(PAGE));
        if let Some(list) = self.lists.get_mut(&list) {
            list.pinned = pinned;
        }
    }

    /// Takes pages from other lists that are not pinned until `entries` more entries fit `list` or no page is left: unused pages first, then
    /// the last pages of the least recently reserved lists.
    pub fn evict(&mut self, list: u64, entries: usize) {
        if self.free() < self.missing(list, entries) {
            self.give_back(Some(list));
        }
        while self.free() < self.missing(list, entries) {
            let has_pages = |(key, other): &(&u64, &List)| **key != list && !other.pinned && !other.pages.is_empty();
            let Some((&key, other)) = self.lists.iter().filter(has_pages).min_by_key(|(_, other)| other.used) else {
                return;
            };
            let pages = other.pages.len() - 1;
            self.truncate(key, pages);
        }
    }

    /// Removes all pages from all lists.
    pub fn clear(&mut self) {
        let lists: Vec<u64> = self.lists.keys().copied().collect();
        lists.into_iter().for_each(|list| self.truncate(list, 0));
    }

    /// Moves the pages in use to the lowest numbers. Returns the copies to make, as source and destination, in this order.
    pub fn compact(&mut self) -> Vec<[u32; 2]> {
        let mut moves = Vec::new();
        while let Some(free) = self.counts.iter().position(|count| *count == 0).filter(|free| *free < self.used()) {
            let last = self.used() - 1;
            self.counts.swap(free, last);
            let pages = self.lists.values_mut().flat_map(|list| &mut list.pages);
            pages.filter(|page| **page as usize == last).for_each(|page| *page = free as u32);
            moves.push([last as u32, free as u32]);
        }
        moves
    }
}

impl List {
    /// Range of pages to which `entries` more entries are written.
    fn written(&self, entries: usize) -> [usize; 2] {
        let first = self.len / PAGE;
        [first, if entries == 0 { first } else { (self.len + entries).div_ceil(PAGE) }]
    }
}
