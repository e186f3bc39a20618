//! `ocelli describe`: pictures to text.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::engine::{Completion, Engine, Event};
use ocelli::grammar::Format;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::doctags::{self, Form};
use crate::batch::{self, Job};
use crate::shared::api::NameArgs;
use crate::shared::args::SamplingArgs;
use crate::shared::ask::{self, PictureFolder};
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::report;
use crate::usage::BudgetArgs;

/// Describe pictures, or ask about them.
#[derive(Args)]
pub(crate) struct DescribeArgs {
    /// The package: a directory, or the name of a model that was pulled.
    package: PackagePath,
    /// Pictures: PNG, JPEG or WebP files, or folders of them; `-` is standard input.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Question about each picture.
    #[arg(long, default_value = "Describe this image.")]
    prompt: String,
    /// Show all pictures to the model at once, in one question.
    #[arg(long)]
    together: bool,
    /// Print a line of JSON for each answer.
    #[arg(long)]
    json: bool,
    /// Write the answers to this file, several at once, as `ocelli batch` does: a line of JSON for each picture, whose path is its
    /// `custom_id`. An interrupted command resumes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["together", "json"])]
    out: Option<PathBuf>,
    /// Convert answers in `DocTags`, the markup of Granite-Docling, when they are complete.
    #[arg(long, value_name = "FORM", conflicts_with_all = ["json", "out"])]
    doctags: Option<Form>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

#[derive(serde::Serialize)]
struct Description<'a> {
    images: &'a [PathBuf],
    prompt: &'a str,
    #[serde(flatten)]
    completion: &'a Completion,
}

#[derive(serde::Serialize)]
struct Failure<'a> {
    images: &'a [PathBuf],
    error: String,
    code: &'static str,
}

/// Reports pictures that cannot be described on standard error and continues with the others.
pub(crate) fn run(args: &DescribeArgs) -> Result<()> {
    let images = expand(&args.images)?;
    if let Some(out) = &args.out {
        return to_file(args, &images, out);
    }
    let mut engine = pollster::block_on(open::engine(&args.package, args.sampling.context, &args.sampling.memory))?;
    let groups: Vec<&[PathBuf]> = if args.together { vec![&images] } else { images.chunks(1).collect() };
    let several = groups.len() > 1;
    let mut outcome = Ok(());
    let mut failures = 0;
    for group in &groups {
        let title = (several && !args.json).then(|| format!("{}: ", group[0].display()));
        if let Err(error) = describe(&mut engine, args, group, title.as_deref()) {
            if args.json {
                io::print(&io::json(&Failure { images: group, error: error.to_string(), code: error.code() })?)?;
            } else if let Some(title) = title {
                io::warn(&format!("{title}error[{}]: {error}", error.code()));
            }
            failures += 1;
            outcome = Err(error);
        }
    }
    report::show_memory(&engine, &args.sampling.memory);
    match outcome {
        Err(_) if several => {
            Err(Error::request("images", format!("{failures} of {} could not be described", groups.len())))
        }
        outcome => outcome,
    }
}

/// The pictures as a batch, each a request of its own.
fn to_file(args: &DescribeArgs, images: &[PathBuf], out: &Path) -> Result<()> {
    let manifest = Manifest::parse(&io::read(&args.package.join(MANIFEST_FILE))?)?;
    // Without a recommendation the likeliest token is taken, as on the terminal.
    let default = manifest.chat.sampling.are_none().then_some(0.0);
    let temperature = args.sampling.requested_temperature().or(default);
    let lines = images.iter().map(|image| request(args, image, temperature)).collect::<Result<Vec<_>>>()?.join("\n");
    let (package, context, memory) = (&args.package, args.sampling.context, &args.sampling.memory);
    let pictures = PictureFolder { base: Path::new(""), any_path: true };
    let (names, budgets) = (&NameArgs::default(), &BudgetArgs::default());
    let (name, at_once) = ("the pictures", usize::MAX);
    let job = Job { name, pictures, output: out, package, names, context, at_once, budgets, memory };
    batch::carry_out(&job, || Ok(Cursor::new(&lines)))
}

/// A picture's request, as a line of a batch.
fn request(args: &DescribeArgs, image: &Path, temperature: Option<f32>) -> Result<String> {
    let (sampling, path) = (&args.sampling, image.display().to_string());
    let content = json!([
        {"type": "image_url", "image_url": {"url": path, "detail": sampling.detail}},
        {"type": "text", "text": args.prompt},
    ]);
    let format = match sampling.format.format()? {
        None => json!({"type": "text"}),
        Some(Format::JsonSchema(schema)) => {
            let schema: Value =
                serde_json::from_str(&schema).map_err(|error| Error::request("json_schema", error.to_string()))?;
            json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})
        }
        Some(Format::Regex(regex)) => json!({"type": "regex", "regex": regex}),
        Some(Format::Lark(lark)) => json!({"type": "lark", "lark": lark}),
        Some(Format::Rules { .. }) => return Err(Error::Internal { detail: "a format of several rules".into() }),
    };
    let body = json!({
        "messages": [{"role": "user", "content": content}],
        "temperature": temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "stop": sampling.stop,
        "seed": sampling.seed,
        "max_tokens": sampling.max_tokens,
        "response_format": format,
    });
    io::json(&json!({"custom_id": path, "method": "POST", "url": "/v1/chat/completions", "body": body}))
}

/// Answers the question about some pictures. The title is printed once they are read.
fn describe(engine: &mut Engine, args: &DescribeArgs, images: &[PathBuf], title: Option<&str>) -> Result<()> {
    let pictures = images.iter().map(|path| ask::picture(path, args.sampling.detail)).collect::<Result<Vec<_>>>()?;
    title.map_or(Ok(()), io::print_text)?;
    let conversation = (vec![ask::question(0..pictures.len(), &args.prompt)], pictures);
    let tell = |event: Event| match event {
        Event::Note { picture, message } => io::inform(&format!("{}: {message}", images[picture].display())),
        event => io::tell(&event),
    };
    let prints = !args.json && args.doctags.is_none();
    let completion = ask::answer(engine, conversation, &args.sampling, prints, tell)?;
    if let Some(form) = args.doctags {
        io::print(&doctags::convert(&completion.text, form))?;
    }
    if args.json {
        io::print(&io::json(&Description { images, prompt: &args.prompt, completion: &completion })?)?;
    }
    Ok(())
}

/// Replaces folders by the pictures in them, sorted by name.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in paths {
        if !path.is_dir() {
            images.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|e| Error::io(path.display(), &e))?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
        let (mut pictures, others): (Vec<PathBuf>, Vec<PathBuf>) = files.partition(|path| io::is_picture(path));
        if !others.is_empty() {
            let text =
                format!("{}: {} files are neither PNG, JPEG nor WebP and are skipped", path.display(), others.len());
            io::inform(&text);
        }
        pictures.sort();
        images.append(&mut pictures);
    }
    if images.is_empty() {
        return Err(Error::request("images", "there are no PNG, JPEG or WebP files"));
    }
    Ok(images)
}
