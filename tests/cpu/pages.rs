//! Lists of pages: no list writes an entry that another one holds, in any sequence of opening, forking, continuing, rewinding, releasing
//! and taking pages.

use std::collections::{BTreeMap, BTreeSet};

use ocelli::kernels::cases::Random;
use ocelli::state::{PAGE, Pages};

const TOTAL: usize = 12;

/// Content of every page, as written by the lists, and the expected content of each list.
#[derive(Default)]
struct Model {
    pages: Pages,
    /// The last entry written to each place of a page.
    written: BTreeMap<(u32, usize), u32>,
    /// Expected entries of each list.
    lists: BTreeMap<u64, Vec<u32>>,
    copies: usize,
    entries: u32,
}

impl Model {
    /// Reserves pages in the way of a pool; returns false if there are too few.
    fn reserve(&mut self, list: u64, entries: usize) -> bool {
        self.pages.evict(list, entries);
        for (other, held) in &mut self.lists {
            assert!(*other != list || self.pages.len(*other) == held.len(), "nothing of its own is taken");
            held.truncate(self.pages.len(*other));
        }
        if self.pages.missing(list, entries) > self.pages.free() {
            return false;
        }
        if let Some([from, to]) = self.pages.take(list, entries) {
            self.copies += 1;
            for place in 0..PAGE {
                if let Some(&entry) = self.written.get(&(from, place)) {
                    self.written.insert((to, place), entry);
                }
            }
        }
        true
    }

    fn append(&mut self, list: u64, entries: usize) {
        let pages = self.pages.list(list).to_vec();
        let held = self.lists.get_mut(&list).expect("a list");
        for _ in 0..entries {
            self.entries += 1;
            self.written.insert((pages[held.len() / PAGE], held.len() % PAGE), self.entries);
            held.push(self.entries);
        }
        self.pages.advance(list, entries);
    }

    /// Moves pages in the way of a pool.
    fn compact(&mut self) {
        for [from, to] in self.pages.compact() {
            for place in 0..PAGE {
                match self.written.remove(&(from, place)) {
                    Some(entry) => drop(self.written.insert((to, place), entry)),
                    None => drop(self.written.remove(&(to, place))),
                }
            }
        }
        assert_eq!(self.pages.used(), TOTAL - self.pages.free(), "nothing is empty before the last page");
    }

    fn check(&self) {
        let mut used: BTreeSet<u32> = BTreeSet::new();
        for (&list, held) in &self.lists {
            assert_eq!(self.pages.len(list), held.len());
            let pages = self.pages.list(list);
            assert!(pages.len() * PAGE >= held.len());
            assert_eq!(pages.iter().collect::<BTreeSet<_>>().len(), pages.len(), "a page twice in a list");
            used.extend(pages);
            for (at, entry) in held.iter().enumerate() {
                assert_eq!(self.written.get(&(pages[at / PAGE], at % PAGE)), Some(entry), "list {list}, entry {at}");
            }
        }
        assert_eq!(self.pages.free(), TOTAL - used.len());
        assert_eq!(self.pages.used(), used.last().map_or(0, |last| *last as usize + 1));
    }
}

#[test]
fn shared_entries_are_never_written() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut model = Model::default();
        model.pages.resize(TOTAL);
        for _ in 0..120 {
            let keys: Vec<u64> = model.lists.keys().copied().collect();
            let any = keys.get(random.bits() as usize % keys.len().max(1)).copied();
            match (random.bits() % 10, any) {
                (0, _) | (_, None) => {
                    let list = model.pages.open();
                    model.lists.insert(list, Vec::new());
                }
                (1 | 2, Some(list)) => {
                    let (fork, held) = (model.pages.fork(list), model.lists[&list].clone());
                    model.lists.insert(fork, held);
                }
                (3, Some(list)) => {
                    model.pages.close(list);
                    model.lists.remove(&list);
                }
                (4 | 5, Some(list)) => {
                    let to = random.bits() as usize % (model.lists[&list].len() + 1);
                    let held = model.lists.get_mut(&list).expect("a list");
                    assert_eq!(model.pages.rewind(list, to), to);
                    held.truncate(to);
                }
                (6, Some(_)) => {
                    model.pages.give_back(None);
                    model.compact();
                }
                (_, Some(list)) => {
                    // Some of the reserved entries are not used.
                    let entries = [1, 7, 200, 600][random.bits() as usize % 4];
                    let (before, copies) = (model.pages.list(list).to_vec(), model.copies);
                    if model.reserve(list, entries) {
                        assert!(model.copies <= copies + 1);
                        let full = model.lists[&list].len() / PAGE;
                        assert_eq!(model.pages.list(list)[..full], before[..full], "full pages stay");
                        model.append(list, entries - random.bits() as usize % entries);
                    } else {
                        let (needed, held) = (entries.div_ceil(PAGE), model.lists[&list].len().div_ceil(PAGE));
                        assert!(needed + held >= TOTAL, "{needed} pages after {held} are refused");
                    }
                }
            }
            model.check();
        }
    }
}

#[test]
fn a_fork_copies_the_last_page_if_it_is_not_full_and_no_other() {
    let mut pages = Pages::default();
    pages.resize(TOTAL);
    let trunk = pages.open();
    assert_eq!(pages.take(trunk, 3 * PAGE), None);
    assert_eq!(pages.list(trunk), [0, 1, 2]);
    pages.advance(trunk, 2 * PAGE + 1);
    let fork = pages.fork(trunk);
    assert_eq!((pages.list(fork), pages.free()), (pages.list(trunk), TOTAL - 3), "a fork takes nothing");
    assert_eq!((pages.missing(fork, 1), pages.missing(fork, PAGE)), (1, 2));
    assert_eq!(pages.take(fork, 1), Some([2, 3]));
    assert_eq!((pages.list(fork), pages.list(trunk)), (&[0, 1, 3][..], &[0, 1, 2][..]));
    // The trunk is the only owner of its last page again.
    assert_eq!(pages.missing(trunk, 1), 0);
    assert_eq!(pages.take(trunk, 1), None);
    // After a full page there is nothing to copy.
    pages.rewind(trunk, 2 * PAGE);
    let other = pages.fork(trunk);
    assert_eq!(pages.list(other), [0, 1]);
    assert_eq!(pages.take(other, 1), None);
    assert_eq!(pages.list(other), [0, 1, 4]);
    [trunk, fork, other].into_iter().for_each(|list| pages.close(list));
    assert_eq!((pages.free(), pages.used()), (TOTAL, 0));
}

#[test]
fn who_rests_longest_gives_way_first_and_from_its_end() {
    let mut pages = Pages::default();
    pages.resize(8);
    let [first, second, third] = [(); 3].map(|()| pages.open());
    for list in [first, second] {
        pages.take(list, 3 * PAGE);
        pages.advance(list, 3 * PAGE);
    }
    // The first list is used again.
    pages.take(first, 1);
    pages.rewind(first, 3 * PAGE);
    assert_eq!(pages.free(), 1);
    pages.evict(third, 3 * PAGE);
    assert_eq!(
        (pages.len(first), pages.len(second)),
        (3 * PAGE, 2 * PAGE),
        "what was reserved and not used goes first"
    );
    pages.evict(third, 6 * PAGE);
    assert_eq!((pages.len(first), pages.len(second)), (2 * PAGE, 0));
    pages.evict(third, 9 * PAGE);
    assert_eq!((pages.len(first), pages.free()), (0, 8), "there are no more");
}
