//! Work that an engine gives its device during an answer.

use ocelli::engine::{Engine, Event, LoadOptions, Prompt, Request, RequestControl};
use ocelli::gpu::{Counters, Gpu};
use ocelli::layout::Layout;
use ocelli::package::Package;
use ocelli::package::manifest::{MANIFEST_FILE, TOKENIZER_FILE};
use ocelli::sampling::SamplingOptions;

use crate::memory_files::MemoryFiles;
use crate::packages;

/// Work of an answer of `tokens` tokens.
fn answer(engine: &mut Engine, sampling: &SamplingOptions, tokens: usize) -> Counters {
    let request = Request {
        prompt: Prompt::Ids(vec![1, 3, 65, 66, 67, 4]),
        pictures: Vec::new(),
        sampling: sampling.clone(),
        max_tokens: Some(tokens),
        stop: Vec::new(),
        grammar: None,
    };
    engine.reset();
    let before = engine.gpu().counters();
    let mut ignore = |_: Event| ();
    let said = pollster::block_on(engine.generate(&request, &RequestControl::new(), &mut ignore)).expect("an answer");
    assert_eq!(said.tokens.len(), tokens, "the model did not stop");
    engine.gpu().counters() - before
}

/// The difference of two answers is the cost of their additional tokens.
#[test]
fn a_token_takes_one_submission_makes_nothing_writes_nothing_and_brings_sixteen_bytes() {
    pollster::block_on(async {
        let gpu = Gpu::open().await.expect("a device");
        let files = packages::pack("untied", Layout::Q4_0).await;
        let in_memory = files.iter().map(|(name, bytes)| (name.clone(), bytes.clone().into())).collect();
        let package = Package::open(MemoryFiles(in_memory)).await.expect("a package");
        let (manifest, tokenizer) = (&files[MANIFEST_FILE], &files[TOKENIZER_FILE]);
        let options = LoadOptions { context: Some(512), ..LoadOptions::new(|| 0.0) };
        let mut engine =
            Engine::load(&gpu, manifest, tokenizer, Box::new(package), options, &mut |_| ()).await.expect("load");
        let greedy = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let filtered = SamplingOptions {
            top_k: Some(5),
            top_p: 0.9,
            min_p: 0.01,
            frequency_penalty: 0.5,
            ..SamplingOptions::default()
        };
        for sampling in [greedy, SamplingOptions::default(), filtered] {
            // A first answer, which compiles the pipelines.
            answer(&mut engine, &sampling, 3);
            let (few, many) = (answer(&mut engine, &sampling, 8), answer(&mut engine, &sampling, 40));
            let more = many - few;
            assert!(more.dispatches.is_multiple_of(32), "{more:?}");
            let alone =
                Counters { dispatches: more.dispatches, submits: 32, bytes_read: 32 * 16, ..Counters::default() };
            assert_eq!(more, alone, "32 tokens with {sampling:?}");
        }
    });
}
