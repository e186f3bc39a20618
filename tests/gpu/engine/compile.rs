//! Compilation of shaders: each once, before anything waits for it.

use std::collections::HashSet;

use super::{CHECKPOINT, about_a_picture, answer, ask, user};
use crate::injection::Injection;
use crate::packages;
use ocelli::chat::ContentPart;
use ocelli::engine::{LoadOptions, Prompt, Request, RequestControl, Speculation};
use ocelli::layout::Layout;
use ocelli::sampling::SamplingOptions;

#[test]
fn each_shader_is_compiled_once_and_none_while_work_waits_for_it() {
    pollster::block_on(async {
        let (injection, files) = (Injection::default(), packages::pack(CHECKPOINT, Layout::Q8_0).await);
        let gpu = injection.open().await.expect("a device");
        let speculation = Speculation::Always;
        let options = LoadOptions { context: Some(512), speculation, ..LoadOptions::new(|| 0.0) };
        let engine = &mut packages::try_load(&gpu, &files, options).await.expect("load");
        let of_loading = gpu.counters().pipelines;
        assert!(of_loading > 15, "{of_loading}");

        let question = about_a_picture(10, "What is this?");
        answer(engine, &question).await;
        engine
            .score(&question.prompt, &question.pictures, 64, &RequestControl::new(), &mut |_| Ok(()))
            .await
            .expect("scores");
        assert_eq!(gpu.counters().pipelines, of_loading, "what pictures, prompts, steps and scores need");

        let repeated =
            Request { prompt: Prompt::Ids([65, 66, 67, 68, 69].repeat(6)), ..ask(Vec::new(), Vec::new(), 400) };
        assert!(answer(engine, &repeated).await.usage.drafted_tokens > 0);
        let filtered =
            SamplingOptions { top_k: Some(5), top_p: 0.9, frequency_penalty: 0.5, ..SamplingOptions::default() };
        let text = vec![user(vec![ContentPart::Text("What is this?".into())])];
        answer(engine, &Request { sampling: filtered, ..ask(text, Vec::new(), 6) }).await;
        engine.preallocate(100, 100).await.expect("as planned");

        let counters = gpu.counters();
        assert!(counters.pipelines > of_loading, "drafts and filters have kernels of their own");
        assert_eq!(counters.late_pipelines, 0);
        let sources = injection.sources();
        assert_eq!(sources.len() as u64, counters.pipelines, "a text is made once");
        assert_eq!(sources.iter().collect::<HashSet<_>>().len(), sources.len(), "no text comes twice");
    });
}
