//! Whole answers with and without drafts.

use std::cell::Cell;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{
    Completion, Engine, Event, FinishReason, LoadOptions, Picture, Prompt, Request, RequestControl, Speculation,
};
use ocelli::gpu::DeviceClass;
use ocelli::layout::Layout;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::sampling::SamplingOptions;

use crate::device::{Random, gpu};
use crate::injection::Injection;
use crate::packages::{self, Contents};

thread_local! {
    static NOW: Cell<f64> = const { Cell::new(0.0) };
}

/// A clock by which everything takes the same time.
fn ticking() -> f64 {
    NOW.replace(NOW.get() + 10.0)
}

fn options(speculation: Speculation) -> LoadOptions {
    LoadOptions { context: Some(256), speculation, ..LoadOptions::new(ticking) }
}

async fn load(files: &Contents, speculation: Speculation) -> Engine {
    packages::try_load(gpu(), files, options(speculation)).await.expect("load")
}

fn request(prompt: Prompt, max_tokens: Option<usize>) -> Request {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    Request { prompt, pictures: Vec::new(), sampling, max_tokens, stop: Vec::new(), grammar: None }
}

async fn say(engine: &mut Engine, request: &Request) -> Completion {
    let mut pieces = String::new();
    let mut listen = |event| {
        if let Event::Text(piece) = event {
            pieces += &piece;
        }
    };
    let said = engine.generate(request, &RequestControl::new(), &mut listen).await.expect("an answer");
    assert_eq!(pieces, said.text, "the stream adds up to the answer");
    let usage = said.usage;
    assert!(usage.accepted_tokens <= usage.drafted_tokens.min(usage.completion_tokens), "{usage:?}");
    said
}

/// The parts of an answer that must not depend on speculation.
fn outcome(said: &Completion) -> (&str, &[u32], FinishReason, usize, usize) {
    (&said.text, &said.tokens, said.finish_reason, said.usage.prompt_tokens, said.usage.cached_tokens)
}

/// The first token that is not a control token.
const FIRST: u32 = 64;

/// Prompts that repeat themselves, completely or with single exceptions, and one without repetitions.
fn prompts(random: &mut Random, words: &Range<u32>) -> Vec<Vec<u32>> {
    let word = |random: &mut Random| words.start + random.bits() % (words.end - words.start);
    let cycle: Vec<u32> = (0..5 + random.bits() % 7).map(|_| word(random)).collect();
    let round: Vec<u32> = cycle.iter().copied().cycle().take(40).collect();
    let mut nearly = round.clone();
    nearly.iter_mut().skip(8).step_by(9).for_each(|token| *token = word(random));
    vec![
        round,
        nearly,
        (0..40).map(|index| words.start + index * 7 % (words.end - words.start)).collect(),
        vec![cycle[0]; 12],
    ]
}

/// Engines with and without drafts answer alike, repeatedly: the cache is the same after each answer. `words` are tokens that are not
/// control tokens.
async fn answers_are_the_same(name: &str, files: &Contents, words: Range<u32>, seed: u64) -> (usize, usize) {
    let (mut plain, mut always) = (load(files, Speculation::Off).await, load(files, Speculation::Always).await);
    let random = &mut Random::new(seed);
    let (mut drafted, mut accepted) = (0, 0);
    for prompt in prompts(random, &words) {
        let max_tokens = [None, Some(60), Some(9), Some(2)][random.bits() as usize % 4];
        let mut talk = prompt.clone();
        for turn in 0..2 {
            let request = request(Prompt::Ids(talk.clone()), max_tokens);
            let (wanted, found) = (say(&mut plain, &request).await, say(&mut always, &request).await);
            assert_eq!(outcome(&found), outcome(&wanted), "{name}, turn {turn} after {prompt:?}");
            assert_eq!((wanted.usage.drafted_tokens, wanted.usage.accepted_tokens), (0, 0));
            drafted += found.usage.drafted_tokens;
            accepted += found.usage.accepted_tokens;
            talk.extend(wanted.tokens.iter().filter(|token| words.contains(token)).take(50));
            talk.extend(&prompt[..4]);
        }
    }
    println!("{name}: {accepted} of {drafted} drafts accepted");
    (drafted, accepted)
}

#[test]
fn greedy_answers_are_the_same_with_drafts() {
    pollster::block_on(async {
        let all = std::env::var("OCELLI_SPECULATION").is_ok_and(|value| value == "all");
        let mut total = (0, 0);
        let checkpoints: &[_] = &[("text_long", Layout::Q4_0), ("small31", Layout::F16), ("like_14b", Layout::Q8_0)];
        for (seed, &(checkpoint, layout)) in checkpoints.iter().take(if all { 3 } else { 1 }).enumerate() {
            let files = packages::pack(checkpoint, layout).await;
            // The first tokens of the vocabulary are control tokens.
            let words = FIRST..vocab_size(&files);
            for round in 0..if all { 8 } else { 1 } {
                let seed = (8 * seed + round) as u64;
                let (drafted, accepted) = answers_are_the_same(checkpoint, &files, words.clone(), seed).await;
                total = (total.0 + drafted, total.1 + accepted);
            }
        }
        assert!(total.1 > 0 && total.0 > total.1, "some drafts are right and some are wrong: {total:?}");
    });
}

fn vocab_size(files: &Contents) -> u32 {
    let manifest = Manifest::parse(&files[MANIFEST_FILE]).expect("a manifest");
    manifest.config.text().vocab_size as u32
}

/// A checkpoint with doubled embeddings. Its head is tied, so it mostly repeats its last token.
async fn repetitive(checkpoint: &str, layout: Layout) -> Contents {
    let from = packages::folder(checkpoint);
    let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("repetitive-{checkpoint}-{layout}"));
    fs::create_dir_all(&to).expect("a folder");
    for name in ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"] {
        fs::copy(from.join(name), to.join(name)).expect("a copy");
    }
    let mut bytes = fs::read(from.join("model.safetensors")).expect("weights");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..header]).expect("a header");
    let embedding = &tensors["model.language_model.embed_tokens.weight"];
    assert_eq!(embedding["dtype"], "BF16");
    let at = |end: usize| header + embedding["data_offsets"][end].as_u64().expect("an offset") as usize;
    for number in bytes[at(0)..at(1)].chunks_exact_mut(2) {
        let bits = u16::from_le_bytes([number[0], number[1]]);
        // Increments the exponent.
        let doubled = if bits & 0x7fff == 0 { bits } else { bits + 0x80 };
        number.copy_from_slice(&doubled.to_le_bytes());
    }
    fs::write(to.join("model.safetensors"), bytes).expect("a file");
    packages::pack_directory(&to, layout).await
}

#[test]
fn greedy_answers_of_a_model_with_recurrent_layers_are_the_same_with_drafts() {
    pollster::block_on(async {
        let mut total = (0, 0);
        for (seed, layout) in [(0, Layout::Q8_0), (1, Layout::Q4_0)] {
            let files = repetitive("qwen3_5", layout).await;
            // The last tokens of the vocabulary are control tokens.
            let words = 0..vocab_size(&files) - 40;
            let (drafted, accepted) = answers_are_the_same("qwen3_5", &files, words, seed).await;
            total = (total.0 + drafted, total.1 + accepted);
        }
        assert!(total.1 > 0 && total.0 > total.1, "some drafts are right and some are wrong: {total:?}");
    });
}

#[test]
fn answers_end_in_the_same_way_among_drafts() {
    pollster::block_on(async {
        let files = packages::pack("text_long", Layout::Q4_0).await;
        let (mut plain, mut always) = (load(&files, Speculation::Off).await, load(&files, Speculation::Always).await);
        let prompt = [65, 66, 67, 68, 69].repeat(6);
        let whole = say(&mut always, &request(Prompt::Ids(prompt.clone()), Some(100))).await;
        assert!(whole.usage.accepted_tokens > 0, "{:?}", whole.usage);
        // For every reason to stop: a stop string, the limit, the caller.
        let text: Vec<char> = whole.text.chars().collect();
        let reset = |plain: &mut Engine, always: &mut Engine| [plain, always].into_iter().for_each(Engine::reset);
        for at in (1..text.len().min(60)).step_by(7) {
            reset(&mut plain, &mut always);
            let stop = vec![text[at..text.len().min(at + 3)].iter().collect()];
            let request = Request { stop, ..request(Prompt::Ids(prompt.clone()), Some(100)) };
            assert_eq!(outcome(&say(&mut always, &request).await), outcome(&say(&mut plain, &request).await), "{at}");
        }
        for limit in 1..20 {
            reset(&mut plain, &mut always);
            let request = request(Prompt::Ids(prompt.clone()), Some(limit));
            assert_eq!(outcome(&say(&mut always, &request).await), outcome(&say(&mut plain, &request).await));
        }
        for pieces in [1, 5, 11] {
            let (cancel, mut heard) = (RequestControl::new(), 0);
            let mut listen = |event| {
                heard += usize::from(matches!(event, Event::Text(_)));
                if heard == pieces {
                    cancel.cancel();
                }
            };
            let request = request(Prompt::Ids(prompt.clone()), None);
            always.generate(&request, &cancel, &mut listen).await.expect_err("it was cancelled");
            assert_eq!(heard, pieces, "nothing is said after that");
            let (wanted, found) = (say(&mut plain, &request).await, say(&mut always, &request).await);
            assert_eq!(found.tokens, wanted.tokens);
        }
        // Up to the last position of the context.
        let request = request(Prompt::Ids(prompt.repeat(6)), None);
        let (wanted, found) = (say(&mut plain, &request).await, say(&mut always, &request).await);
        assert_eq!(outcome(&found).1, outcome(&wanted).1);
        assert_eq!(found.tokens.len() + found.usage.prompt_tokens, 256);
    });
}

#[test]
fn only_the_likeliest_token_is_guessed_and_only_when_that_pays() {
    pollster::block_on(async {
        let files = packages::pack("text_long", Layout::Q4_0).await;
        let (mut plain, mut auto) = (load(&files, Speculation::Off).await, load(&files, Speculation::Auto).await);
        let mut ask = request(Prompt::Ids([65, 66, 67, 68, 69].repeat(6)), Some(120));
        let wary = say(&mut auto, &ask).await;
        // On software devices speculation is assumed not to pay. By this clock it does.
        assert!(wary.usage.drafted_tokens == 0 || gpu().class() == DeviceClass::Hardware, "{:?}", wary.usage);
        for rows in [4, 4, 8, 8] {
            assert!(auto.time_pass(rows).await.expect("a pass").is_some(), "there is memory for {rows} rows");
        }
        auto.reset();
        let (wanted, found) = (say(&mut plain, &ask).await, say(&mut auto, &ask).await);
        assert_eq!(outcome(&found), outcome(&wanted));
        let usage = found.usage;
        assert!(usage.drafted_tokens > 0 && usage.drafted_tokens < 60, "guesses that are wrong get rare: {usage:?}");
        let (mut drafted, mut accepted) = (0, 0);
        for prompt in prompts(&mut Random::new(1), &(FIRST..plain.config().text().vocab_size as u32)) {
            let request = request(Prompt::Ids(prompt), None);
            let (wanted, found) = (say(&mut plain, &request).await, say(&mut auto, &request).await);
            assert_eq!(outcome(&found), outcome(&wanted));
            (drafted, accepted) = (drafted + found.usage.drafted_tokens, accepted + found.usage.accepted_tokens);
        }
        println!("{accepted} of {drafted} drafts accepted");
        assert!(2 * accepted > drafted && accepted > 50, "answers that go round are guessed: {accepted} of {drafted}");
        for sampling in [
            SamplingOptions { seed: 3, ..SamplingOptions::default() },
            SamplingOptions { frequency_penalty: 0.5, ..ask.sampling.clone() },
            SamplingOptions { logit_bias: [(5, 1.0)].into(), ..ask.sampling.clone() },
        ] {
            ask.sampling = sampling;
            let (wanted, found) = (say(&mut plain, &ask).await, say(&mut auto, &ask).await);
            assert_eq!((found.usage.drafted_tokens, &found.tokens), (0, &wanted.tokens), "{:?}", ask.sampling);
        }
        // A clock that does not advance has measured nothing.
        let still = LoadOptions { clock: || 0.0, ..options(Speculation::Auto) };
        let mut still = packages::try_load(gpu(), &files, still).await.expect("load");
        ask.sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        assert_eq!(say(&mut still, &ask).await.usage.drafted_tokens, 0);
    });
}

#[test]
fn a_device_lost_among_drafts_changes_no_token() {
    pollster::block_on(async {
        let files = packages::pack("text_long", Layout::Q4_0).await;
        let injection = Injection::default();
        let gpu = injection.open().await;
        let options = LoadOptions { kv_precision: Some(KvPrecision::Int8), ..options(Speculation::Always) };
        let mut engine = packages::try_load(&gpu.expect("a device"), &files, options).await.expect("load");
        let request = request(Prompt::Ids([65, 66, 67, 68, 69].repeat(6)), Some(40));
        let whole = say(&mut engine, &request).await;
        assert!(whole.usage.accepted_tokens > 0, "{:?}", whole.usage);
        let before = injection.submissions();
        engine.reset();
        assert_eq!(say(&mut engine, &request).await.tokens, whole.tokens);
        let submissions = injection.submissions() - before;
        for at in (0..submissions).step_by(submissions as usize / 6) {
            engine.reset();
            injection.lose_at_submission(injection.submissions() + at);
            let (mut losses, mut text) = (0, String::new());
            let mut listen = |event| match event {
                Event::Recovering { .. } => losses += 1,
                Event::Text(piece) => text += &piece,
                _ => (),
            };
            let said = engine.generate(&request, &RequestControl::new(), &mut listen).await.expect("an answer");
            assert_eq!((said.tokens, &text, losses), (whole.tokens.clone(), &whole.text, 1), "lost at {at}");
        }
    });
}

/// Drafts are not verified by a kernel that counts wrongly.
#[test]
fn nothing_is_guessed_where_a_kernel_is_wrong() {
    pollster::block_on(async {
        let files = packages::pack("text_long", Layout::Q4_0).await;
        let request = request(Prompt::Ids([65, 66, 67, 68, 69].repeat(6)), Some(40));
        let wanted = say(&mut load(&files, Speculation::Off).await, &request).await;
        let injection = Injection::default();
        injection.corrupt("accept", "state[1] += 1u", "state[1] += 2u");
        let gpu = injection.open().await.expect("a device");
        let mut engine = packages::try_load(&gpu, &files, options(Speculation::Always)).await.expect("load");
        let found = say(&mut engine, &request).await;
        assert_eq!(outcome(&found), outcome(&wanted));
        assert_eq!(found.usage.drafted_tokens, 0);
    });
}

/// The shipped model, asked the same twice about a picture: the second answer, and the token that ends it, are drafted.
#[test]
fn the_demo_model_repeats_itself_word_by_word() {
    pollster::block_on(async {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| fs::read(root.join(path)).expect("a file");
        let names = ["model.json", "tokenizer.json", "shard-0000.bin"];
        let files: Contents =
            names.iter().map(|name| ((*name).to_owned(), read(&format!("www/models/demo/{name}")))).collect();
        let content = vec![ContentPart::Image(0), ContentPart::Text("Describe this image.".into())];
        let mut messages = vec![Message { role: Role::User, content }];
        let (mut plain, mut always) = (load(&files, Speculation::Off).await, load(&files, Speculation::Always).await);
        let mut accepted = 0;
        for turn in 0..2 {
            let request = Request {
                pictures: vec![Picture::encoded(read("tests/fixtures/demo/0096.png"))],
                ..request(Prompt::Messages(messages.clone()), Some(60))
            };
            let (wanted, found) = (say(&mut plain, &request).await, say(&mut always, &request).await);
            assert_eq!(outcome(&found), outcome(&wanted), "turn {turn}");
            println!("{:?}: {:?}", found.text, found.usage);
            accepted += found.usage.accepted_tokens;
            messages.push(Message::text(Role::Assistant, wanted.text));
            messages.push(Message::text(Role::User, "Describe this image."));
        }
        assert!(accepted > 4, "{accepted}");
    });
}
