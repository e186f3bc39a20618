//! Snapshots of conversations, found by another engine, in every precision and with every kind of state.

use ocelli::config::KvPrecision;
use ocelli::engine::Speculation;
use ocelli::gpu::Gpu;

use super::cache::{edited, follow_up};
use super::*;
use crate::memory_snapshots::MemorySnapshots;

const PLENTY: u64 = 1 << 30;

async fn load(checkpoint: &str, kv: KvPrecision) -> Engine {
    load_on(device::gpu(), checkpoint, kv).await
}

async fn load_on(gpu: &Gpu, checkpoint: &str, kv: KvPrecision) -> Engine {
    let files = packages::pack(checkpoint, Layout::Q8_0).await;
    let kv_precision = Some(kv);
    let speculation = Speculation::Always;
    let options = LoadOptions { context: Some(640), kv_precision, speculation, ..LoadOptions::new(|| 0.0) };
    packages::try_load(gpu, &files, options).await.expect("load")
}

/// A new engine on the same files.
async fn started(checkpoint: &str, kv: KvPrecision, store: &MemorySnapshots) -> Engine {
    let mut engine = load(checkpoint, kv).await;
    engine.open_snapshots(Box::new(store.clone()), PLENTY).await.expect("a store");
    engine
}

async fn keep(engine: &mut Engine) {
    assert_eq!(engine.keep_snapshots(&mut || true).await, Ok(true));
}

/// More than a page of text.
fn long_question() -> String {
    "Tell me about the second one, please. ".repeat(16)
}

/// A conversation about a picture; another engine answers a follow-up, an edited question and a repeated one from its snapshot.
async fn resumes(checkpoint: &str, kv: KvPrecision) {
    let store = MemorySnapshots::default();
    let first = about_a_picture(10, &long_question());
    let mut before = started(checkpoint, kv, &store).await;
    let said = answer(&mut before, &first).await;
    assert!(said.usage.prompt_tokens > 256, "{:?}", said.usage);
    let second = follow_up(&first, &said.text, "And its colour?");
    let other = edited(&second, "How many are there?");
    keep(&mut before).await;
    let (asked, mut cold) = (said.usage.prompt_tokens, load(checkpoint, kv).await);
    for (request, least) in [(&second, asked - 8), (&other, asked - 8), (&first, 12)] {
        let alone = fresh_answer(&mut cold, request).await;
        let mut engine = started(checkpoint, kv, &store).await;
        let mut layers = 0;
        let mut watch =
            |event: Event| layers += usize::from(matches!(event, Event::Progress { stage: Stage::Vision, .. }));
        let warm = engine.generate(request, &RequestControl::new(), &mut watch).await.expect("an answer");
        assert!(warm.usage.cached_tokens >= least, "{checkpoint} {kv}: {:?}", warm.usage);
        assert_eq!((warm.tokens, layers), (alone.tokens, 0), "{checkpoint} {kv}");
        keep(&mut engine).await;
    }
}

#[test]
fn scales_of_another_conversation_are_not_written_to_a_file() {
    pollster::block_on(async {
        let say = async |engine: &mut Engine, text: &str| {
            answer(engine, &ask(vec![Message::text(Role::User, text)], Vec::new(), 2)).await;
        };
        let (alone, after) = (MemorySnapshots::default(), MemorySnapshots::default());
        let mut engine = started(CHECKPOINT, KvPrecision::Int8, &alone).await;
        say(&mut engine, "Hello").await;
        keep(&mut engine).await;
        let mut engine = load(CHECKPOINT, KvPrecision::Int8).await;
        // Its page is copied with the common beginning of both.
        say(&mut engine, &"Tell me about the second one. ".repeat(6)).await;
        say(&mut engine, "Hello").await;
        engine.open_snapshots(Box::new(after.clone()), PLENTY).await.expect("a store");
        keep(&mut engine).await;
        // The parts and their hashes: heads also tell in which passes they were computed.
        let parts = |store: &MemorySnapshots| -> Vec<Vec<u8>> {
            let files = &store.0.borrow().files;
            let head = |bytes: &[u8]| u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
            files.iter().map(|(_, bytes)| bytes[head(bytes)..bytes.len() - 32].to_vec()).collect()
        };
        let (alone, after) = (parts(&alone), parts(&after));
        assert_eq!((alone.len(), after.len()), (1, 2));
        assert!(after.contains(&alone[0]), "the bytes are those of an engine without the other conversation");
    });
}

#[test]
fn every_precision_survives_a_restart() {
    pollster::block_on(async {
        for kv in [KvPrecision::F32, KvPrecision::F16, KvPrecision::Int8] {
            resumes(CHECKPOINT, kv).await;
        }
    });
}

#[test]
fn every_kind_of_state_survives_a_restart() {
    pollster::block_on(async {
        for (checkpoint, kv) in [
            ("qwen3_5", KvPrecision::F32),
            ("mllama", KvPrecision::Int8),
            ("qwen3_vl", KvPrecision::F16),
            ("gemma4", KvPrecision::Int8),
        ] {
            resumes(checkpoint, kv).await;
        }
    });
}

#[test]
fn a_changed_pixel_precision_or_model_finds_nothing() {
    pollster::block_on(async {
        let store = MemorySnapshots::default();
        let request = about_a_picture(10, "What is this?");
        let mut engine = started(CHECKPOINT, KvPrecision::F16, &store).await;
        answer(&mut engine, &request).await;
        keep(&mut engine).await;
        let files = store.0.borrow().files.clone();
        let mut other = request.clone();
        let ocelli::engine::PictureContent::Rgb(pixels) = &mut other.pictures[0].content else { unreachable!() };
        pixels.pixels[1234] ^= 1;
        let said = answer(&mut started(CHECKPOINT, KvPrecision::F16, &store).await, &other).await;
        assert_eq!(said.usage.cached_tokens, 2, "only <s>[INST] is common");
        let mut cold = load(CHECKPOINT, KvPrecision::F16).await;
        assert_eq!(said.tokens, fresh_answer(&mut cold, &other).await.tokens);
        for (checkpoint, kv) in [(CHECKPOINT, KvPrecision::F32), ("merge1", KvPrecision::F16)] {
            let said = answer(&mut started(checkpoint, kv, &store).await, &request).await;
            assert_eq!(said.usage.cached_tokens, 0, "{checkpoint} {kv}");
        }
        assert_eq!(store.0.borrow().files, files, "those of others are left alone");
    });
}

#[test]
fn a_damaged_part_is_refused() {
    pollster::block_on(async {
        let store = MemorySnapshots::default();
        let request = about_a_picture(10, "What is this?");
        let mut engine = started("mllama", KvPrecision::F16, &store).await;
        let said = answer(&mut engine, &request).await;
        keep(&mut engine).await;
        let whole = store.0.borrow().files[0].clone();
        for at in [whole.1.len() / 3, whole.1.len() / 2, whole.1.len() - 1] {
            let mut bytes = whole.1.clone();
            bytes[at] ^= 1;
            store.0.borrow_mut().files = vec![(whole.0.clone(), bytes)];
            let mut anew = started("mllama", KvPrecision::F16, &store).await;
            let again = answer(&mut anew, &request).await;
            assert_eq!((again.usage.cached_tokens, &again.tokens), (0, &said.tokens), "byte {at}");
        }
    });
}

#[test]
fn reading_and_writing_stay_within_the_plan() {
    pollster::block_on(async {
        for checkpoint in [CHECKPOINT, "qwen3_5", "mllama"] {
            // Its own device, whose ledger counts nothing else.
            let gpu = Gpu::open().await.expect("a device");
            let (store, first) = (MemorySnapshots::default(), about_a_picture(10, &long_question()));
            let mut engine = load_on(&gpu, checkpoint, KvPrecision::F32).await;
            engine.open_snapshots(Box::new(store.clone()), PLENTY).await.expect("a store");
            let mut said = answer(&mut engine, &first).await;
            keep(&mut engine).await;
            for question in ["And its colour?", "How many?", "Why?"] {
                // Next to a conversation that is kept in memory.
                engine.reset();
                answer(&mut engine, &about_a_picture(200, &long_question())).await;
                let again = answer(&mut engine, &follow_up(&first, &said.text, question)).await;
                assert!(again.usage.cached_tokens > 200, "{checkpoint}: {:?}", again.usage);
                keep(&mut engine).await;
                said = answer(&mut engine, &first).await;
            }
            let (peak, plan) = (gpu.ledger().total().1, engine.plan().peak);
            assert!(peak <= plan, "{checkpoint}: {peak} of {plan}, {:?} {:?}", engine.memory(), engine.plan());
        }
    });
}
