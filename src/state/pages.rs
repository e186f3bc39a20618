//! Which pages of a pool the conversations have. No device takes part.

use std::collections::BTreeMap;

use crate::kernels::cache::PAGE;

/// The pages of a pool, and of each conversation the list of those that hold it, in the order of its entries. A page may be in several
/// lists: then it is not written any more.
#[derive(Debug, Default)]
pub struct Pages {
    /// Of each page, how many lists name it.
    counts: Vec<u32>,
    lists: BTreeMap<u64, List>,
    /// Lists opened and reservations made so far.
    opened: u64,
    reserved: u64,
}

/// What holds a conversation.
#[derive(Debug, Clone, Default)]
struct List {
    pages: Vec<u32>,
    /// Entries.
    len: usize,
    /// The last reservation.
    used: u64,
    /// Whether nothing may be taken from it.
    pinned: bool,
}

impl Pages {
    /// The pages that there are.
    pub fn total(&self) -> usize {
        self.counts.len()
    }

    /// Those that are in no list.
    pub fn free(&self) -> usize {
        self.counts.iter().filter(|count| **count == 0).count()
    }

    /// All pages up to the last one that is in a list.
    pub fn used(&self) -> usize {
        self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1)
    }

    /// Has the pool consist of so many pages, but at least of [`Self::used`].
    pub fn resize(&mut self, total: usize) {
        self.counts.resize(total.max(self.used()), 0);
    }

    /// A new list, without entries.
    pub fn open(&mut self) -> u64 {
        self.add(List::default())
    }

    /// A list with the entries of another one, in the same pages; without any if there is no such list.
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

    /// Gives up a list.
    pub fn close(&mut self, list: u64) {
        self.truncate(list, 0);
        self.lists.remove(&list);
    }

    /// Has a list hold so many pages at most, and no entries behind them.
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

    /// Counts entries for which pages were [taken](Self::take).
    pub fn advance(&mut self, list: u64, entries: usize) {
        if let Some(list) = self.lists.get_mut(&list) {
            list.len += entries;
        }
    }

    /// Goes back to `to` entries; the pages behind them are kept for those to come. Returns the entries that are left.
    pub fn rewind(&mut self, list: u64, to: usize) -> usize {
        let Some(list) = self.lists.get_mut(&list) else { return 0 };
        list.len = list.len.min(to);
        list.len
    }

    /// Gives up the pages of all lists but `list` and those pinned that are behind their entries.
    pub fn give_back(&mut self, list: Option<u64>) {
        let others = self.lists.iter().filter(|(key, other)| Some(**key) != list && !other.pinned);
        let needed: Vec<(u64, usize)> = others.map(|(key, other)| (*key, other.len.div_ceil(PAGE))).collect();
        needed.into_iter().for_each(|(key, pages)| self.truncate(key, pages));
    }

    /// Pages that `entries` more take of those that are free.
    pub fn missing(&self, list: u64, entries: usize) -> usize {
        let Some(list) = self.lists.get(&list) else { return 0 };
        let [first, end] = list.written(entries);
        let held = &list.pages[first.min(list.pages.len())..end.min(list.pages.len())];
        let shared = held.iter().filter(|&&page| self.counts[page as usize] > 1).count();
        end - first - held.len() + shared
    }

    /// Whether the next entries of a list are written to a page that has entries of its own and is in other lists too.
    pub fn shares_last(&self, list: u64) -> bool {
        let last = self.lists.get(&list).filter(|list| !list.len.is_multiple_of(PAGE));
        last.and_then(|list| list.pages.get(list.len / PAGE)).is_some_and(|&page| self.counts[page as usize] > 1)
    }

    /// Takes pages for `entries` more, as many as are [missing](Self::missing) and must be free: then they can be written, and whatever
    /// other lists hold stays as it is. Returns a page whose entries have to be copied to another one first, if the list
    /// [shares its last one](Self::shares_last).
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
            // The first that is free: then what is not used is behind the others, and can be given back.
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

    /// Has nothing be taken from a list, which keeps no page behind its entries; or lets it.
    pub fn pin(&mut self, list: u64, pinned: bool) {
        self.truncate(list, self.len(list).div_ceil(PAGE));
        if let Some(list) = self.lists.get_mut(&list) {
            list.pinned = pinned;
        }
    }

    /// Takes pages from lists other than `list` that are not pinned, until it can be continued by `entries` or none is left to take:
    /// first those behind their entries, then the last pages of lists that were reserved for longest ago.
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

    /// Takes all pages from all lists.
    pub fn clear(&mut self) {
        let lists: Vec<u64> = self.lists.keys().copied().collect();
        lists.into_iter().for_each(|list| self.truncate(list, 0));
    }

    /// Gives the pages that are in lists the lowest numbers. Returns which have to be copied, and where to, in this order.
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
    /// The pages that `entries` more are written to: the first of them, and the one behind the last.
    fn written(&self, entries: usize) -> [usize; 2] {
        let first = self.len / PAGE;
        [first, if entries == 0 { first } else { (self.len + entries).div_ceil(PAGE) }]
    }
}
