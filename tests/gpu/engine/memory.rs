//! What happens when the cache of keys and values cannot grow.

use ocelli::chat::{Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{Cancel, Request};
use ocelli::gpu::Gpu;
use ocelli::state::{PAGE, State};
use ocelli::weights::layout::Layout;

use super::{CHECKPOINT, answer, ask, fresh_answer};
use crate::packages;

fn say(text: &str) -> Request {
    ask(vec![Message::text(Role::User, text)], Vec::new(), 4)
}

/// The device is full after two of three layers have moved: all that was held still is, and with room again all goes on.
#[test]
fn a_cache_that_cannot_grow_keeps_what_it_holds() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        for kv in KvPrecision::ALL {
            let gpu = Gpu::open().await.expect("a device");
            let mut engine = packages::load_on(&gpu, &files, 512, Some(kv)).await;
            assert_eq!(engine.plan().kv, kv);
            let (short, long) = (say("Hello."), say(&"word ".repeat(80)));
            let before = answer(&mut engine, &short).await;

            let text = engine.config().text().clone();
            let page = PAGE as u64 * State::entry_bytes(&text, kv) / text.layers.len() as u64;
            let (held, _) = gpu.ledger().total();
            // Two layers grow by a page each; a third has no room for its two new pages beside its old one, but an answer has for
            // what it draws with.
            let limit = held + 3 * page + page * 3 / 4;
            gpu.ledger().set_limit(Some(limit));
            let refused = engine.generate(&long, &Cancel::new(), &mut |_| ()).await.expect_err("no room");
            assert_eq!(refused.code(), "out-of-memory", "{kv}: {refused}");
            // Work memory may have gone for it.
            let now = gpu.ledger().total().0;
            assert!(now > held + page && now <= held + 2 * page, "{kv}: {now} after {held}");
            assert_eq!(answer(&mut engine, &short).await.tokens, before.tokens, "{kv}");

            gpu.ledger().set_limit(None);
            let said = answer(&mut engine, &long).await;
            assert!(said.usage.prompt_tokens > PAGE && said.usage.cached_tokens > 0, "{:?}", said.usage);
            assert_eq!(said.tokens, fresh_answer(&mut engine, &long).await.tokens, "{kv}");
        }
    });
}

/// A long conversation, then a short one: memory follows, unless it is little.
#[test]
fn a_cache_gives_back_what_a_shorter_conversation_leaves_empty() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let text = packages::load(&files, 512).await.config().text().clone();
        for kv in KvPrecision::ALL {
            let gpu = Gpu::open().await.expect("a device");
            let mut cache = State::new(&gpu, &text, 20_000, kv).expect("a cache");
            for (tokens, room) in [(5000, 5120), (3100, 5120), (2800, 2816), (1, 256), (2304, 2304), (20_000, 20_000)] {
                cache.reserve(&gpu, tokens).await.expect("room");
                assert_eq!(cache.capacity(), room, "{kv}: for {tokens}");
                let bytes = State::entry_bytes(&text, kv) * room as u64;
                assert_eq!(gpu.ledger().total().0, bytes, "{kv}: for {tokens}");
            }
            assert_eq!(cache.reserve(&gpu, 20_001).await.expect_err("refused").code(), "context-overflow");
        }
    });
}

/// What nobody chose: exact for small models, half of it for large ones.
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
