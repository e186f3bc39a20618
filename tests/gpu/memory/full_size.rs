//! A model of full size within 2 GiB, by hand: `OCELLI_FULL_SIZE=PKG cargo test --release --test gpu full_size -- --ignored --nocapture`.
//!
//! Every buffer is really allocated. What takes hours on a software device is not computed: a second cache stands for the tokens
//! of a long conversation, and `OCELLI_FULL_LAYERS=N` stops the tower after so many layers.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ocelli::Error;
use ocelli::engine::{Engine, Event, LoadOptions, Picture, Prompt, Request, RequestControl, Stage};

use ocelli::gpu::Gpu;
use ocelli::image::Rgb8;
use ocelli::package::Package;
use ocelli::package::manifest::MANIFEST_FILE;
use ocelli::package::source::Directory;
use ocelli::sampling::SamplingOptions;
use ocelli::state::{Pool, State};

const BUDGET: u64 = 2 << 30;
const CONTEXT: usize = 4096;
const SIDE: u32 = 1024;

async fn load(gpu: &Gpu, folder: &Path) -> Engine {
    let package = Package::open(Directory(folder.to_path_buf())).await.expect("a package");
    let manifest = std::fs::read(folder.join(MANIFEST_FILE)).expect("a manifest");
    let tokenizer = package.read_tokenizer().await.expect("a tokenizer");
    let options = LoadOptions { context: Some(CONTEXT), gpu_memory_budget: Some(BUDGET), ..LoadOptions::new(|| 0.0) };
    Engine::load(gpu, &manifest, &tokenizer, Box::new(package), options, &mut |_| ()).await.expect("load")
}

fn request(prompt: Vec<u32>, pictures: Vec<Picture>) -> Request {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    Request { prompt: Prompt::Ids(prompt), pictures, sampling, max_tokens: Some(2), stop: Vec::new(), grammar: None }
}

fn report(gpu: &Gpu, what: &str, start: Instant) {
    let (now, peak) = gpu.ledger().total();
    println!("{what}: {now} bytes now, {peak} at most, after {:.0?}", start.elapsed());
    assert!(peak <= BUDGET, "{:?}", gpu.ledger().rows());
}

#[test]
#[ignore = "needs a package of full size and hours"]
fn full_size() {
    let folder = std::env::var_os("OCELLI_FULL_SIZE").map(PathBuf::from).expect("OCELLI_FULL_SIZE names a package");
    let layers = std::env::var("OCELLI_FULL_LAYERS").map_or(usize::MAX, |n| n.parse().expect("a number"));
    pollster::block_on(async {
        let (gpu, start) = (Gpu::open().await.expect("a device"), Instant::now());
        let mut engine = load(&gpu, &folder).await;
        println!("{:#?}", engine.plan());
        report(&gpu, "loaded", start);
        let vision = engine.config().vision().cloned().expect("eyes");
        let side = (SIDE as usize).div_ceil(vision.patch_size * vision.spatial_merge_size);
        let mut prompt = vec![1];
        for row in 1..=side {
            prompt.extend(std::iter::repeat_n(vision.image_token_id, side));
            prompt.push(if row == side { vision.image_end_token_id } else { vision.image_break_token_id });
        }
        prompt.push(100);
        let pixels = (0..SIDE * SIDE * 3).map(|i| (i % 253) as u8).collect();
        let picture = Picture::rgb(Rgb8 { width: SIDE, height: SIDE, pixels });

        // The conversation has reached the point where only the picture fits.
        let text = engine.config().text().clone();
        let mut held = State::new(&Pool::new(&text, engine.plan().kv, CONTEXT), CONTEXT);
        held.reserve(&gpu, CONTEXT - prompt.len() - 2).await.expect("room");
        let mut held = Some(held);
        report(&gpu, "a long conversation", start);
        let cancel = RequestControl::new();
        let mut watch = |event: Event| {
            if let Event::Progress { stage, done, total } = event {
                println!("{stage:?} {done} of {total} after {:.0?}", start.elapsed());
                if stage == Stage::Vision && done >= layers {
                    cancel.cancel();
                }
                if done == total {
                    // The engine's own cache grows now, by what the picture takes.
                    held = None;
                }
            }
        };
        let answer = engine.generate(&request(prompt, vec![picture]), &cancel, &mut watch).await;
        report(&gpu, "a picture at its end", start);
        match answer {
            Ok(completion) => println!("{:?} {:?}", completion.tokens, completion.usage),
            Err(Error::Aborted) => println!("stopped after {layers} layers"),
            Err(error) => panic!("{error}"),
        }

        // The whole context, and tokens through the decoder.
        drop(held);
        let mut rest = State::new(&Pool::new(&text, engine.plan().kv, CONTEXT), CONTEXT);
        rest.reserve(&gpu, CONTEXT - 256).await.expect("room");
        engine
            .generate(&request(vec![1, 100, 101], Vec::new()), &RequestControl::new(), &mut |_| ())
            .await
            .expect("two tokens");
        report(&gpu, "the whole context and two tokens", start);
        for row in gpu.ledger().rows() {
            println!("{row:?}");
        }
        assert!(engine.plan().peak <= BUDGET);
    });
}
