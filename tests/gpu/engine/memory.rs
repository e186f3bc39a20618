//! Memory of the KV cache: pages shared by conversations, and shortage of pages.

use ocelli::chat::{Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{Engine, Prompt, Request, RequestControl};
use ocelli::gpu::{Gpu, Purpose};
use ocelli::layout::Layout;
use ocelli::state::{PAGE, Pool, State};

use super::{CHECKPOINT, answer, ask, fresh_answer};
use crate::packages;

fn say(text: &str) -> Request {
    ask(vec![Message::text(Role::User, text)], Vec::new(), 4)
}

/// There is memory for half of the pages. An answer that fails keeps its state, and resumes with more memory.
#[test]
fn a_cache_that_cannot_grow_keeps_its_entries() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        for kv in KvPrecision::ALL {
            let gpu = Gpu::open().await.expect("a device");
            let mut engine = packages::load_on(&gpu, &files, 512, Some(kv)).await;
            assert_eq!(engine.plan().kv, kv);
            let (short, long) = (say("Hello."), say(&"word ".repeat(80)));
            let text = engine.config().text().clone();
            let page = PAGE as u64 * State::entry_bytes(&text, kv) / text.layers.len() as u64;
            let before = answer(&mut engine, &short).await;
            assert_eq!(cache_bytes(&gpu), 6 * page, "{kv}: two pages in three layers");

            // A page of each layer is too much, and its memory is released.
            engine = packages::load_on(&gpu, &files, 512, Some(kv)).await;
            gpu.ledger().set_limit(Some(gpu.ledger().total().0 + 3 * page + page / 2));
            let refused =
                engine.generate(&short, &RequestControl::new(), &mut |_| ()).await.expect_err("no room to work in");
            assert_eq!(refused.code(), "out-of-memory", "{kv}: {refused}");
            gpu.ledger().set_limit(None);
            assert_eq!(answer(&mut engine, &short).await.tokens, before.tokens, "{kv}");
            assert_eq!(cache_bytes(&gpu), 3 * page, "{kv}: no more than is needed");

            // Two layers grow by a page each. A third has no room for its two new pages next to its old one, but an answer has room for its
            // sampling buffers.
            let (held, _) = gpu.ledger().total();
            gpu.ledger().set_limit(Some(held + 3 * page + page * 3 / 4));
            let refused = engine.generate(&long, &RequestControl::new(), &mut |_| ()).await.expect_err("no room");
            assert_eq!(refused.code(), "out-of-memory", "{kv}: {refused}");
            assert_eq!(answer(&mut engine, &short).await.tokens, before.tokens, "{kv}");

            gpu.ledger().set_limit(None);
            let said = answer(&mut engine, &long).await;
            assert!(said.usage.prompt_tokens > PAGE && said.usage.cached_tokens > 0, "{:?}", said.usage);
            assert_eq!(said.tokens, fresh_answer(&mut engine, &long).await.tokens, "{kv}");
        }
    });
}

/// Bytes of keys and values.
fn cache_bytes(gpu: &Gpu) -> u64 {
    gpu.ledger().rows().iter().find(|row| row.purpose == Purpose::KvCache).map_or(0, |row| row.current)
}

/// Two conversations that do not fit together: the idle one loses pages, and is recomputed when it resumes.
#[test]
fn conversations_share_pages_and_do_not_affect_each_other() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let gpu = Gpu::open().await.expect("a device");
        let mut engine = packages::load_on(&gpu, &files, 2 * PAGE, None).await;
        let all = 2 * PAGE as u64 * State::entry_bytes(engine.config().text(), engine.plan().kv);
        let mut cached = Vec::new();
        // Turns of the two conversations, of a page each and then of more than one.
        for (turn, count) in [15, 15, 40, 40, 80, 80, 80].into_iter().enumerate() {
            let request = say(&format!("{} ", ["word", "other"][turn % 2]).repeat(count));
            let said = answer(&mut engine, &request).await;
            cached.push(said.usage.cached_tokens);
            assert_eq!(cache_bytes(&gpu), all, "turn {turn}");
            let mut alone = packages::load(&files, 2 * PAGE).await;
            assert_eq!(said.tokens, answer(&mut alone, &request).await.tokens, "turn {turn}");
        }
        assert!(
            cached[2..5].iter().all(|&cached| cached > 2),
            "the first of them has room beside the other: {cached:?}"
        );
        assert_eq!(cached[5..], [2, 2], "who rested is computed again but for <s>[INST]: {cached:?}");
    });
}

/// The memory of any number of conversations is released.
#[test]
fn thousands_of_conversations_do_not_leak() {
    pollster::block_on(async {
        for checkpoint in [CHECKPOINT, "qwen3_5"] {
            let (gpu, files) = (Gpu::open().await.expect("a device"), packages::pack(checkpoint, Layout::Q8_0).await);
            let mut engine = packages::load_on(&gpu, &files, 2 * PAGE, None).await;
            let request =
                |first: u32| Request { prompt: Prompt::Ids(vec![20 + first % 40, 20 + first / 40, 5]), ..say("") };
            let ask = async |engine: &mut Engine, first: u32| {
                let request = Request { max_tokens: Some(1), ..request(first) };
                engine.generate(&request, &RequestControl::new(), &mut |_| ()).await.expect("an answer");
            };
            for first in 0..20 {
                ask(&mut engine, first).await;
            }
            let held = engine.memory();
            engine.reset();
            let baseline = engine.memory();
            for first in 20..1020 {
                ask(&mut engine, first).await;
            }
            assert_eq!(
                engine.memory().iter().map(|row| row.current).collect::<Vec<_>>(),
                held.iter().map(|row| row.current).collect::<Vec<_>>(),
                "{checkpoint}"
            );
            engine.reset();
            assert_eq!(
                engine.memory().iter().map(|row| row.current).collect::<Vec<_>>(),
                baseline.iter().map(|row| row.current).collect::<Vec<_>>(),
                "{checkpoint}"
            );
        }
    });
}

/// All memory is taken at once; unused pages are returned if requested.
#[test]
fn a_pool_takes_its_memory_once() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let text = packages::load(&files, 512).await.config().text().clone();
        for kv in KvPrecision::ALL {
            let gpu = Gpu::open().await.expect("a device");
            let pool = Pool::new(&text, kv, 20_000);
            let (mut state, all) = (State::new(&pool, 20_000), 79 * PAGE);
            assert_eq!((pool.room(), gpu.ledger().total().0), (0, 0));
            let check = |room: usize, when: &str| {
                assert_eq!(pool.room(), room, "{kv}: {when}");
                assert_eq!(gpu.ledger().total().0, State::entry_bytes(&text, kv) * room as u64, "{kv}: {when}");
            };
            for tokens in [1, 5000, 3100, 20_000] {
                let before = gpu.counters().buffers;
                state.reserve(&gpu, tokens).await.expect("room");
                check(all, "reserved");
                assert!(tokens == 1 || gpu.counters().buffers == before, "nothing is made for {tokens}");
            }
            assert_eq!(state.reserve(&gpu, 20_001).await.expect_err("refused").code(), "context-overflow");
            state.advance(300);
            pool.trim(&gpu).await.expect("less");
            check(2 * PAGE, "two pages are held");
            state.reserve(&gpu, 300).await.expect("room");
            check(all, "reserved again");
            drop(state);
            check(0, "no page is held");
        }
    });
}

/// Default precision: exact for small models, 16-bit for large ones.
#[test]
fn a_small_model_has_an_exact_cache_and_a_large_one_does_not() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let engine = packages::load(&files, 512).await;
        assert_eq!(engine.plan().kv, KvPrecision::F32);
        let mut text = engine.config().text().clone();
        // The shape of the 3B model: 26 layers of 8 heads, 128 wide.
        text.layers = vec![text.layers[0]; 26];
        (text.num_key_value_heads, text.head_dim) = (8, 128);
        assert_eq!(KvPrecision::ALL.map(|kv| State::entry_bytes(&text, kv)), [212_992, 106_496, 54_080]);
        assert_eq!(State::default_precision(&text, 4096), KvPrecision::F16);
        // 64 MiB hold 315 tokens of it in 32 bits.
        assert_eq!(
            [315, 316].map(|context| State::default_precision(&text, context)),
            [KvPrecision::F32, KvPrecision::F16]
        );
    });
}
