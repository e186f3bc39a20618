//! An engine on a device of its own with fault injection, which records its events.

use std::collections::BTreeMap;

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{Engine, Event, LoadEvent, LoadOptions, Picture, Prompt, Request, RequestControl, Tuned};
use ocelli::gpu::GpuOptions;
use ocelli::image::Rgb8;
use ocelli::layout::Layout;
use ocelli::package::Package;
use ocelli::package::manifest::{MANIFEST_FILE, TOKENIZER_FILE};
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use crate::injection::Injection;
use crate::memory_files::MemoryFiles;
use crate::packages;

/// Rate that an earlier load of a replaceable GPU has measured.
pub(crate) const GFLOPS: u32 = 7;

type Files = BTreeMap<String, Vec<u8>>;

/// Work of loading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loading {
    pub(crate) submissions: u64,
    pub(crate) writes: u64,
    pub(crate) sent: u64,
}

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) injection: Injection,
    pub(crate) loading: Loading,
    pub(crate) files: Files,
}

/// All events of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
    /// The pieces of the text.
    pub(crate) pieces: Vec<String>,
    pub(crate) cached: usize,
    pub(crate) recoveries: usize,
    /// Reason for which the processor replaced the GPU.
    pub(crate) processor: Option<String>,
}

impl Heard {
    pub(crate) fn listen(&mut self, event: Event) {
        match event {
            Event::Text(piece) => self.pieces.push(piece),
            Event::Recovering { .. } => self.recoveries += 1,
            Event::Processor { device } => self.processor = device.reason,
            Event::Token(_)
            | Event::Reasoning(_)
            | Event::Call { .. }
            | Event::Progress { .. }
            | Event::Picture { .. }
            | Event::Truncated { .. }
            | Event::Note { .. } => (),
        }
    }

    /// The parts of an answer that must not depend on the device.
    pub(crate) fn said(&self) -> (&[u32], &str, &[String]) {
        (&self.tokens, &self.text, &self.pieces)
    }
}

impl Bench {
    /// Runs `test` on a tiny model that reads pictures, on a GPU that the processor may replace.
    pub(crate) fn with_fallback(test: impl AsyncFnOnce(&mut Self)) {
        Self::run(KvPrecision::F32, true, test);
    }

    /// Runs `test` on a tiny model that reads pictures.
    pub(crate) fn with(test: impl AsyncFnOnce(&mut Self)) {
        Self::with_cache(KvPrecision::F32, test);
    }

    /// Runs `test` on a tiny model that reads pictures, with a cache of this precision.
    pub(crate) fn with_cache(kv: KvPrecision, test: impl AsyncFnOnce(&mut Self)) {
        Self::run(kv, false, test);
    }

    fn run(kv: KvPrecision, falls_back: bool, test: impl AsyncFnOnce(&mut Self)) {
        pollster::block_on(async {
            let files = packages::pack("tied_two_images", Layout::Q8_0).await;
            let (mut bench, _) = Self::load(files, kv, falls_back, |_| ()).await.expect("load");
            test(&mut bench).await;
        });
    }

    async fn load(files: Files, kv: KvPrecision, falls_back: bool, order: impl Fn(&Injection)) -> Result<(Self, u64)> {
        let injection = Injection::default();
        order(&injection);
        let gpu = injection.open_with(GpuOptions { falls_back, ..GpuOptions::default() }).await?;
        let in_memory = files.iter().map(|(name, bytes)| (name.clone(), bytes.clone().into())).collect();
        let package = Package::open(MemoryFiles(in_memory)).await?;
        let mut sent = 0;
        // A rate that no device has.
        let tuned = Tuned { gflops: if falls_back { GFLOPS } else { 0 }, ..Tuned::default() };
        let options = LoadOptions { context: Some(512), kv_precision: Some(kv), tuned, ..LoadOptions::new(|| 0.0) };
        let (manifest, tokenizer) = (&files[MANIFEST_FILE], &files[TOKENIZER_FILE]);
        let mut count = |event| {
            if let LoadEvent::Bytes(bytes) = event {
                sent += bytes;
            }
        };
        let engine = Engine::load(&gpu, manifest, tokenizer, Box::new(package), options, &mut count).await?;
        let loading = Loading { submissions: injection.submissions(), writes: injection.writes(), sent };
        Ok((Self { engine, injection, loading, files }, sent))
    }

    /// Loads the same model once more, after scheduling faults; returns the reported bytes as well.
    pub(crate) async fn load_again(&self, order: impl Fn(&Injection)) -> Result<(Self, u64)> {
        let falls_back = self.engine.gpu().has_fallback();
        Self::load(self.files.clone(), self.engine.plan().kv, falls_back, order).await
    }

    pub(crate) async fn hear(&mut self, request: &Request) -> Heard {
        let mut heard = Heard::default();
        let said = self.engine.generate(request, &RequestControl::new(), &mut |event| heard.listen(event)).await;
        let completion = said.expect("generate");
        assert_eq!(heard.pieces.concat(), completion.text, "the stream adds up to the answer");
        Heard { tokens: completion.tokens, text: completion.text, cached: completion.usage.cached_tokens, ..heard }
    }

    pub(crate) async fn fail(&mut self, request: &Request) -> Error {
        self.engine.generate(request, &RequestControl::new(), &mut |_| ()).await.expect_err("it must fail")
    }

    /// Logits of every position. `// [tokens, vocab]`
    pub(crate) async fn score(&mut self, request: &Request) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        let mut keep = |rows: ocelli::engine::ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        let cut = 7;
        self.engine.score(&request.prompt, &request.pictures, cut, &RequestControl::new(), &mut keep).await?;
        Ok(logits)
    }
}

/// A small picture in a shade of grey.
pub(crate) fn picture(level: u8) -> Picture {
    let (width, height) = (40_u32, 60_u32);
    let pixels = (0..width * height * 3).map(|i| level.wrapping_add((i % 7 * 9) as u8)).collect();
    Picture::rgb(Rgb8 { width, height, pixels })
}

fn ask(messages: Vec<Message>, pictures: Vec<Picture>, max_tokens: usize) -> Request {
    Request {
        prompt: Prompt::Messages(messages),
        pictures,
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        grammar: None,
    }
}

pub(crate) fn words(question: &str, max_tokens: usize) -> Request {
    ask(vec![Message::text(Role::User, question)], Vec::new(), max_tokens)
}

/// A question about the picture of a shade.
pub(crate) fn about(level: u8, question: &str, max_tokens: usize) -> Request {
    let content = vec![ContentPart::Image(0), ContentPart::Text(question.into())];
    ask(vec![Message { role: Role::User, content }], vec![picture(level)], max_tokens)
}

/// The next question, about another picture, after the first answer.
pub(crate) fn follow_up(first: &Request, said: &Heard, level: u8, question: &str, max_tokens: usize) -> Request {
    let Prompt::Messages(mut messages) = first.prompt.clone() else { return first.clone() };
    messages.push(Message::text(Role::Assistant, said.text.clone()));
    let content = vec![ContentPart::Image(1), ContentPart::Text(question.into())];
    messages.push(Message { role: Role::User, content });
    let pictures = first.pictures.iter().cloned().chain([picture(level)]).collect();
    ask(messages, pictures, max_tokens)
}
