//! Conversations as lists of pages: logits do not depend on the order and the sharing of pages, to the last bit.

use ocelli::config::KvPrecision;
use ocelli::gpu::{Counters, Gpu, Purpose};
use ocelli::layout::Layout;
use ocelli::model::{Input, LanguageModel, Model};
use ocelli::state::{ConversationState, PAGE, State};

use crate::device::Random;
use crate::packages::{Contents, decoder, pack};

const CONTEXT: usize = 8 * PAGE;

/// A model, and its conversations.
struct Bench {
    gpu: Gpu,
    model: Model,
}

impl Bench {
    fn new(gpu: &Gpu, files: &Contents, kv: KvPrecision) -> Self {
        Self::with_context(gpu, files, CONTEXT, kv)
    }

    fn with_context(gpu: &Gpu, files: &Contents, context: usize, kv: KvPrecision) -> Self {
        Self { gpu: gpu.clone(), model: decoder(gpu, files, (context, kv)) }
    }

    fn open(&self) -> State {
        self.model.new_state().expect("a state")
    }

    /// Computes a prompt in chunks, after the entries of the state.
    async fn prompt(&mut self, state: &mut State, tokens: &[u32]) {
        for chunk in tokens.chunks(200) {
            let inputs: Vec<Input> = chunk.iter().map(|&token| Input::Token(token)).collect();
            self.model.forward(state, &inputs, None).await.expect("a chunk");
        }
    }

    async fn step(&mut self, state: &mut State, token: u32) {
        self.model.reserve(state, 1).await.expect("room");
        self.model.replay(state, token).expect("a step");
    }

    /// The logits after some steps, as words.
    async fn steps(&mut self, state: &mut State, tokens: &[u32]) -> Vec<u32> {
        for &token in tokens {
            self.step(state, token).await;
        }
        let (logits, _) = self.model.logits_and_step().expect("logits");
        self.gpu.read_as(&logits).await.expect("logits")
    }

    fn cache_bytes(&self) -> u64 {
        let rows = self.gpu.ledger().rows();
        rows.iter().find(|row| row.purpose == Purpose::KvCache).map_or(0, |row| row.current)
    }
}

/// Tokens of a conversation, determined by the seed.
fn tokens(seed: u64, count: usize) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| 3 + random.bits() % 60).collect()
}

/// Logits of a separate conversation, on a model of its own, after a prompt and some steps.
async fn alone(gpu: &Gpu, files: &Contents, kv: KvPrecision, prompt: &[u32], steps: &[u32]) -> Vec<u32> {
    let mut bench = Bench::new(gpu, files, kv);
    let mut state = bench.open();
    bench.prompt(&mut state, prompt).await;
    bench.steps(&mut state, steps).await
}

#[test]
fn pages_in_any_order_give_the_same_bits() {
    pollster::block_on(async {
        let (gpu, files) = (Gpu::open().await.expect("a device"), pack("untied", Layout::Q8_0).await);
        for kv in KvPrecision::ALL {
            let mut bench = Bench::new(&gpu, &files, kv);
            let (first, second) = (tokens(1, 300), tokens(2, 640));
            let (mut other, mut state) = (bench.open(), bench.open());
            // Pages of both conversations alternate; afterwards the other conversation has consecutive ones.
            bench.prompt(&mut other, &first[..200]).await;
            bench.prompt(&mut state, &second[..200]).await;
            bench.prompt(&mut other, &first[200..]).await;
            bench.prompt(&mut state, &second[200..400]).await;
            drop(other);
            bench.prompt(&mut state, &second[400..600]).await;
            let said = bench.steps(&mut state, &second[600..]).await;
            assert_eq!(state.len(), 640);
            assert!(said == alone(&gpu, &files, kv, &second[..600], &second[600..]).await, "{kv}");
        }
    });
}

#[test]
fn forks_do_not_see_each_others_entries() {
    pollster::block_on(async {
        let (gpu, files) = (Gpu::open().await.expect("a device"), pack("untied", Layout::Q8_0).await);
        for kv in KvPrecision::ALL {
            // After a full page, and within one.
            for common in [2 * PAGE, 2 * PAGE + 44] {
                let mut bench = Bench::new(&gpu, &files, kv);
                let (prompt, ways) = (tokens(3, common), [tokens(4, 20), tokens(5, 20), tokens(6, 20)]);
                let mut trunk = bench.open();
                bench.prompt(&mut trunk, &prompt).await;
                let mut forks = [trunk.fork(), trunk.fork()];
                let took = bench.cache_bytes();
                // In turns, the trunk last: no conversation may have written a shared entry.
                for (first, second) in ways[0].iter().zip(&ways[1]).take(19) {
                    bench.step(&mut forks[0], *first).await;
                    bench.step(&mut forks[1], *second).await;
                }
                let states = forks.iter_mut().chain([&mut trunk]);
                for (index, (state, way)) in states.zip(&ways).enumerate() {
                    let rest = if index < 2 { &way[19..] } else { &way[..] };
                    let said = bench.steps(state, rest).await;
                    assert_eq!(state.len(), common + 20);
                    let wanted = alone(&gpu, &files, kv, &prompt, way).await;
                    assert!(said == wanted, "{kv}: way {index} after {common}");
                }
                assert_eq!(bench.cache_bytes(), took);
                // Rewinds into the shared part, and continues with other tokens.
                let back = common - 100;
                assert_eq!(trunk.rewind(back), back);
                let said = bench.steps(&mut trunk, &ways[1]).await;
                assert!(said == alone(&gpu, &files, kv, &prompt[..back], &ways[1]).await, "{kv}: {back} of {common}");
                let said = bench.steps(&mut forks[0], &ways[2]).await;
                let whole = [&ways[0][..], &ways[2]].concat();
                assert!(said == alone(&gpu, &files, kv, &prompt, &whole).await, "{kv}: a fork after {common}");
            }
        }
    });
}

#[test]
fn pages_that_move_together_keep_their_bits() {
    pollster::block_on(async {
        let (gpu, files) = (Gpu::open().await.expect("a device"), pack("untied", Layout::Q8_0).await);
        for kv in KvPrecision::ALL {
            let mut bench = Bench::new(&gpu, &files, kv);
            let (prompt, rest) = (tokens(8, 2 * PAGE + 9), tokens(9, 3));
            let (mut gone, mut state) = (bench.open(), bench.open());
            bench.prompt(&mut gone, &tokens(1, PAGE + 5)).await;
            bench.prompt(&mut state, &prompt).await;
            let mut fork = state.fork();
            drop(gone);
            bench.model.pool().trim(&gpu).await.expect("less");
            assert_eq!(bench.model.pool().room(), 3 * PAGE, "{kv}");
            let said = bench.steps(&mut fork, &rest).await;
            assert!(said == alone(&gpu, &files, kv, &prompt, &rest).await, "{kv}: the fork");
            let said = bench.steps(&mut state, &rest[..1]).await;
            assert!(said == alone(&gpu, &files, kv, &prompt, &rest[..1]).await, "{kv}");
        }
    });
}

/// From one page to the 32 pages of 8192 tokens: only longer contexts with more splits create objects; nothing is moved, and nothing waits.
#[test]
fn growing_takes_nothing_but_a_word_of_the_table() {
    pollster::block_on(async {
        let (gpu, files) = (Gpu::open().await.expect("a device"), pack("untied", Layout::Q8_0).await);
        let context = 32 * PAGE;
        let mut bench = Bench::with_context(&gpu, &files, context, KvPrecision::F16);
        let mut state = bench.open();
        bench.prompt(&mut state, &tokens(7, PAGE - 2)).await;
        bench.steps(&mut state, &[5]).await;
        let took = bench.cache_bytes();
        let mut launches = Vec::new();
        while state.len() < context {
            // A prompt fills the gap between the ends of two pages.
            if state.len() % PAGE == 8 {
                bench.prompt(&mut state, &tokens(7, PAGE - 16)).await;
                bench.step(&mut state, 5).await;
            }
            let (entries, before) = (state.len() + 1, gpu.counters());
            bench.step(&mut state, 5).await;
            let cost = gpu.counters() - before;
            // The step header; for every page its entry in the page table and its rotations.
            let at_page = entries % PAGE == 1 || entries % PAGE == PAGE - 1;
            assert!(cost.writes == 1 || at_page && cost.writes <= 4, "{cost:?} at {entries}");
            let is_split_anew = entries > PAGE && (entries - 1).is_multiple_of(PAGE) && (entries - 1).is_power_of_two();
            if is_split_anew {
                assert_eq!((cost.buffers, cost.bind_groups), (1, cost.dispatches), "{entries}");
            } else {
                assert_eq!((cost.buffers, cost.bind_groups), (0, 0), "{entries}");
            }
            launches.push(cost.dispatches);
            let alone = Counters { submits: 1, ..Counters::default() };
            assert_eq!((cost.submits, cost.bytes_read), (alone.submits, alone.bytes_read), "{entries}");
        }
        assert_eq!(bench.cache_bytes(), took, "all of it was there from the first entry on");
        assert!(launches[1..].iter().all(|&count| count == launches[1]), "{launches:?}");
    });
}

/// A state that was partly dropped reports this, and can be recomputed.
#[test]
fn a_full_pool_takes_last_pages_of_who_rests() {
    pollster::block_on(async {
        let (gpu, files) = (Gpu::open().await.expect("a device"), pack("untied", Layout::Q8_0).await);
        let kv = KvPrecision::F16;
        let mut bench = Bench::new(&gpu, &files, kv);
        let (old, new) = (tokens(8, 5 * PAGE - 20), tokens(9, 6 * PAGE - 20));
        let (mut rests, mut goes_on) = (bench.open(), bench.open());
        bench.prompt(&mut rests, &old).await;
        bench.prompt(&mut goes_on, &new).await;
        let said = bench.steps(&mut goes_on, &new[..9]).await;
        assert!(said == alone(&gpu, &files, kv, &new, &new[..9]).await);
        assert_eq!((rests.len(), rests.rewind(old.len())), (2 * PAGE, 2 * PAGE), "three of five pages are gone");
        drop(goes_on);
        rests.rewind(0);
        bench.prompt(&mut rests, &old).await;
        let said = bench.steps(&mut rests, &old[..9]).await;
        assert!(said == alone(&gpu, &files, kv, &old, &old[..9]).await);
        // No other conversation is left to take pages from.
        let mut more = bench.open();
        assert_eq!(more.reserve(&gpu, CONTEXT + 1).await.expect_err("too long").code(), "context-overflow");
        more.reserve(&gpu, CONTEXT).await.expect("all pages");
        assert_eq!(rests.len(), 0);
    });
}
