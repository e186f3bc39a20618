//! The demo model on held-out scenes, against what `transformers` answered for the same checkpoint.
//!
//! `tests/fixtures/demo` holds a part of the 500 scenes; `OCELLI_HELDOUT=DIR` runs another folder written by
//! `training/evaluate.py` (`evaluation.json` and its pictures) instead, `OCELLI_TASKS=caption,read` only these tasks.

use crate::packages;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{Arithmetic, Engine, LoadOptions, Picture, Prompt, Request, RequestControl, Tuned};
use ocelli::gpu::{Features, Gpu};
use ocelli::kernels::{TuningGroup, gemv, matmul};
use ocelli::layout::Layout;
use ocelli::sampling::SamplingOptions;
use serde::Deserialize;

/// The file `training/evaluate.py` writes.
#[derive(Deserialize)]
struct Evaluation {
    results: Vec<ScopeSubject>,
}

#[derive(Deserialize)]
struct ScopeSubject {
    image: String,
    task: String,
    prompt: String,
    /// Earlier questions and answers about the picture.
    history: Vec<(String, String)>,
    /// The right answer.
    expected: String,
    /// The answer of `transformers`.
    answer: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn heldout() -> PathBuf {
    std::env::var_os("OCELLI_HELDOUT").map_or_else(|| root().join("tests/fixtures/demo"), PathBuf::from)
}

fn files_of(package: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(package).expect("the package").map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())).collect()
}

fn request(question: &ScopeSubject, picture: Vec<u8>) -> Request {
    let said = question.history.iter().flat_map(|(asked, answered)| [(Role::User, asked), (Role::Assistant, answered)]);
    let mut messages: Vec<Message> =
        said.chain([(Role::User, &question.prompt)]).map(|(role, text)| Message::text(role, text)).collect();
    messages[0].content.insert(0, ContentPart::Image(0));
    Request {
        prompt: Prompt::Messages(messages),
        pictures: vec![Picture::encoded(picture)],
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(120),
        stop: Vec::new(),
        grammar: None,
    }
}

/// Right answers of this runtime, right answers of `transformers`, equal answers, and questions in all.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    right: usize,
    right_elsewhere: usize,
    equal: usize,
    all: usize,
}

impl Tally {
    fn add(&mut self, question: &ScopeSubject, answer: &str) {
        self.right += usize::from(answer == question.expected);
        self.right_elsewhere += usize::from(question.answer == question.expected);
        self.equal += usize::from(answer == question.answer);
        self.all += 1;
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.all as f64
    }
}

async fn ask_everything(engine: &mut Engine, name: &str) -> (Tally, Vec<String>) {
    let tasks = std::env::var("OCELLI_TASKS").ok();
    ask(engine, name, tasks.as_deref(), usize::MAX).await
}

/// The first `most` questions of some tasks, separated by commas.
async fn ask(engine: &mut Engine, name: &str, tasks_wanted: Option<&str>, most: usize) -> (Tally, Vec<String>) {
    let folder = heldout();
    let json = std::fs::read(folder.join("evaluation.json")).expect("evaluation.json");
    let evaluation: Evaluation = serde_json::from_slice(&json).expect("evaluation.json");
    let (mut total, mut tasks, mut answers) = (Tally::default(), BTreeMap::<String, Tally>::new(), Vec::new());
    let wanted =
        |question: &&ScopeSubject| tasks_wanted.is_none_or(|tasks| tasks.split(',').any(|task| task == question.task));
    for question in evaluation.results.iter().filter(wanted).take(most) {
        let picture = std::fs::read(folder.join(&question.image)).expect("picture");
        let request = request(question, picture);
        let completion = engine.generate(&request, &RequestControl::new(), &mut |_| ()).await.expect("an answer");
        total.add(question, &completion.text);
        tasks.entry(question.task.clone()).or_default().add(question, &completion.text);
        if completion.text != question.answer {
            println!("{name} {}: {:?}, transformers {:?}", question.image, completion.text, question.answer);
        }
        answers.push(completion.text);
    }
    for (task, tally) in tasks.iter().chain([(&"all".to_owned(), &total)]) {
        println!(
            "{name:5} {task:10} right {:6.2} %, by transformers {:6.2} %, equal answers {:6.2} % of {}",
            tally.percent(tally.right),
            tally.percent(tally.right_elsewhere),
            tally.percent(tally.equal),
            tally.all
        );
    }
    (total, answers)
}

/// In 32-bit floats at least 99 of 100 answers equal those of `transformers`, letter by letter.
#[test]
fn the_checkpoint_answers_as_with_transformers() {
    pollster::block_on(async {
        let files = packages::pack_directory(&root().join("training/checkpoint"), Layout::F32).await;
        let (tally, _) = ask_everything(&mut packages::load(&files, 512).await, "f32").await;
        assert!(tally.percent(tally.equal) >= 99.0, "{tally:?}");
    });
}

/// The package that the page ships is within 2 points of `transformers` in right answers, even with a rounded cache; and at least 99 of 100
/// answers are the same with a cache of 8-bit integers and of 16-bit floats.
#[test]
fn the_shipped_package_is_as_often_right() {
    pollster::block_on(async {
        let files = files_of(&root().join("www/models/demo"));
        let mut answers = Vec::new();
        for kv in [KvPrecision::F16, KvPrecision::Int8] {
            let (tally, said) = ask_everything(&mut packages::load_kv(&files, 512, kv).await, kv.into()).await;
            assert!(tally.percent(tally.right) >= tally.percent(tally.right_elsewhere) - 2.0, "{kv}: {tally:?}");
            answers.push(said);
        }
        let same = answers[0].iter().zip(&answers[1]).filter(|(f16, int8)| f16 == int8).count();
        println!("{same} of {} answers are the same with int8 as with f16", answers[0].len());
        assert!(100 * same >= 99 * answers[0].len() && same > 0, "{same} of {}", answers[0].len());
    });
}

/// Scenes described in each tier; a given folder of held-out scenes is described completely.
const SCENES: usize = 8;

/// A tier whose products are rounded.
struct Tier {
    name: &'static str,
    features: Features,
    gemv: Option<gemv::Tuning>,
    matmul: matmul::Tuning,
}

const TIERS: [Tier; 3] = [
    Tier {
        name: "subgroups",
        features: Features::SUBGROUPS,
        gemv: Some(gemv::Tuning::SUBGROUPS),
        matmul: matmul::Tuning::HARDWARE,
    },
    Tier { name: "dot", features: Features::DOT, gemv: Some(gemv::Tuning::DOT_SOFTWARE), matmul: matmul::Tuning::DOT },
    Tier { name: "f16", features: Features::F16, gemv: None, matmul: matmul::Tuning::F16 },
];

/// Optional features change one answer in 200 at most.
#[test]
fn the_shipped_package_answers_alike_in_every_tier() {
    let place = |found: Option<usize>| found.map_or(0, |place| place as u8 + 1);
    pollster::block_on(async {
        let files = files_of(&root().join("www/models/demo"));
        let most = if std::env::var_os("OCELLI_HELDOUT").is_some() { usize::MAX } else { SCENES };
        let mut told = packages::load(&files, 512).await;
        let (_, plain) = ask(&mut told, "plain", Some("caption"), most).await;
        for tier in TIERS {
            let gpu = Gpu::open().await.expect("a device");
            let mut tuned = Tuned::default();
            let gemv = gemv::Tuning::ALL.iter().position(|tuning| Some(*tuning) == tier.gemv);
            tuned.variants[TuningGroup::Gemv as usize] = place(gemv);
            let matmul = matmul::Tuning::ALL.iter().position(|tuning| *tuning == tier.matmul);
            tuned.variants[TuningGroup::Matmul as usize] = place(matmul);
            let arithmetic = Arithmetic::Fast;
            let options = LoadOptions { context: Some(512), tuned, arithmetic, ..LoadOptions::new(|| 0.0) };
            let mut engine = packages::try_load(&gpu, &files, options).await.expect("load");
            let report = engine.self_test();
            assert!(report.failed.is_empty() && report.kernel_config.variants == tuned.variants, "{report:?}");
            assert!(report.kernel_config.features.contains(tier.features), "{report:?}");
            let (tally, answers) = ask(&mut engine, tier.name, Some("caption"), most).await;
            let same = plain.iter().zip(&answers).filter(|(plain, answer)| plain == answer).count();
            println!("{same} of {} answers are the same in tier {}", plain.len(), tier.name);
            assert!(1000 * same >= 995 * plain.len() && same > 0, "{same} of {}", plain.len());
            assert!(tally.percent(tally.equal) >= 99.5, "{tally:?}");
        }
    });
}
