//! `ocelli describe`: pictures to text.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::chat::{Message, Role};
use ocelli::engine::{Completion, Engine, Event, Picture, RequestControl};
use ocelli::grammar::Format;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::doctags::{self, Form};
use super::find;
use super::pages::PageRange;
use crate::batch::{self, Job};
use crate::fetch;
use crate::pull;
use crate::shared::api::NameArgs;
use crate::shared::args::SamplingArgs;
use crate::shared::ask::{self, Asking, PictureFolder};
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::pdf;
use crate::shared::pictures::{self, Skipped};
use crate::shared::report;
use crate::usage::BudgetArgs;

/// Describe pictures, or ask about them.
#[derive(Args)]
pub(crate) struct DescribeArgs {
    /// The package: a directory, or the name of a model [default: the first argument if it is one, else the only model that was pulled].
    #[arg(long, short, env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    package: PackagePath,
    /// Pictures (PNG, JPEG, WebP, GIF, BMP, TIFF), PDF documents, whose pages are pictures, or folders of both; `-` is standard input.
    #[arg(required = true, value_name = "[PKG] IMAGES")]
    images: Vec<String>,
    /// Pages of PDF documents, such as 1-3 or 2,5- [default: all].
    #[arg(long, value_name = "PAGES")]
    pages: Option<PageRange>,
    /// Also look into the folders of folders.
    #[arg(long)]
    recursive: bool,
    /// Allow pictures at http(s) addresses, and download them.
    #[arg(long, conflicts_with = "out")]
    fetch: bool,
    /// Question about each picture.
    #[arg(long, default_value = "Describe this image.")]
    prompt: String,
    /// System message.
    #[arg(long)]
    system: Option<String>,
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
    /// Find these things, separated by commas: the answer lists them with boxes, from 0 to 1000 over the width and the height. For models
    /// that were trained to give coordinates: Qwen3-VL and Qwen3.5.
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["prompt", "together", "out", "doctags", "json_schema", "regex", "lark"])]
    find: Option<String>,
    /// Write the picture with the boxes that were found, as PNG.
    #[arg(long, value_name = "FILE", requires = "find")]
    draw: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl DescribeArgs {
    /// The package, which may be the first argument.
    pub(crate) fn settled_package(&mut self) -> &mut PackagePath {
        let is_first = self.images.len() > 1 && self.images.first().is_some_and(|name| pull::is_package(name));
        if is_first {
            self.package = PackagePath::from(OsString::from(self.images.remove(0)));
        }
        &mut self.package
    }
}

#[derive(serde::Serialize)]
struct Description<'a> {
    images: &'a [String],
    prompt: &'a str,
    #[serde(flatten)]
    completion: &'a Completion,
}

#[derive(serde::Serialize)]
struct Failure<'a> {
    images: &'a [String],
    error: String,
    code: &'static str,
}

/// Reports pictures that cannot be described on standard error and continues with the others.
pub(crate) fn run(args: &DescribeArgs) -> Result<()> {
    let images = expand(args)?;
    if let Some(out) = &args.out {
        return to_file(args, &images, out);
    }
    if args.draw.is_some() && images.len() > 1 {
        return Err(Error::request("draw", format!("one picture is drawn into, not {}", images.len())));
    }
    let mut engine = pollster::block_on(open::engine(&args.package, args.sampling.context, &args.sampling.memory))?;
    let groups: Vec<&[String]> = if args.together { vec![&images] } else { images.chunks(1).collect() };
    let several = groups.len() > 1;
    let mut failures = Vec::new();
    for group in &groups {
        let title = (several && !args.json).then(|| format!("{}: ", group[0]));
        if let Err(error) = describe(&mut engine, args, group, title.as_deref()) {
            if args.json {
                io::print(&io::json(&Failure { images: group, error: error.to_string(), code: error.code() })?)?;
            } else if let Some(title) = title {
                io::warn(&format!("{title}error[{}]: {error}", error.code()));
            }
            failures.push(error);
        }
    }
    report::show_memory(&engine, &args.sampling.memory);
    let are_damaged = failures.iter().all(|error| matches!(error, Error::InvalidImage { .. }));
    let reason = format!("{} of {} could not be described", failures.len(), groups.len());
    match failures.pop() {
        None => Ok(()),
        Some(error) if !several => Err(error),
        // With the exit code of a damaged picture alone.
        Some(_) if are_damaged => Err(Error::InvalidImage { reason }),
        Some(_) => Err(Error::request("images", reason)),
    }
}

/// The pictures as a batch, each a request of its own.
fn to_file(args: &DescribeArgs, images: &[String], out: &Path) -> Result<()> {
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
fn request(args: &DescribeArgs, path: &str, temperature: Option<f32>) -> Result<String> {
    let sampling = &args.sampling;
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
    let system = args.system.as_ref().map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> = system.into_iter().chain([json!({"role": "user", "content": content})]).collect();
    let body = json!({
        "messages": messages,
        "enable_thinking": sampling.think.map(|_| true),
        "thinking_budget": sampling.think.flatten(),
        "temperature": temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "stop": sampling.stop,
        "seed": sampling.seed,
        "max_tokens": sampling.max_tokens,
        "response_format": format,
    });
    io::json(&json!({"custom_id": path, "method": "POST", "url": "/v1/chat/completions", "body": body}))
}

/// Answers the question about some pictures. The title is printed once they are read.
fn describe(engine: &mut Engine, args: &DescribeArgs, images: &[String], title: Option<&str>) -> Result<()> {
    let encoded = images.iter().map(|name| ask::encoded(name)).collect::<Result<Vec<_>>>()?;
    let drawn = encoded.first().filter(|_| args.draw.is_some()).cloned();
    let pictures =
        encoded.into_iter().map(|bytes| Picture::encoded(bytes).at(args.sampling.detail)).collect::<Vec<_>>();
    let found = args.find.as_ref().map(|what| find::question(what, engine.manifest().config.family())).transpose()?;
    let prompt = found.as_ref().unwrap_or(&args.prompt);
    title.map_or(Ok(()), io::print_text)?;
    let system = args.system.as_ref().map(|text| Message::text(Role::System, text));
    let messages = system.into_iter().chain([ask::question(0..pictures.len(), prompt)]).collect();
    let tell = |event: Event| match event {
        Event::Note { picture, message } => io::inform(&format!("{}: {message}", images[picture])),
        event => io::tell(&event),
    };
    let prints = !args.json && args.doctags.is_none();
    let (control, mut said) = (RequestControl::new(), String::new());
    let format = found.as_ref().map(|_| Format::JsonSchema(find::schema().to_string()));
    let asking = Asking { printed: prints.then_some(&mut said), control: &control, attempt: 0, format };
    let completion = ask::answer(engine, (messages, pictures), &args.sampling, asking, tell)?;
    if let (Some(out), Some(picture)) = (&args.draw, drawn) {
        find::draw(&picture, &find::places(&completion.text)?, out)?;
    }
    if let Some(form) = args.doctags {
        io::print(&doctags::convert(&completion.text, form))?;
    }
    if args.json {
        io::print(&io::json(&Description { images, prompt, completion: &completion })?)?;
    }
    Ok(())
}

/// Replaces folders by the files in them, and documents by their pages.
fn expand(args: &DescribeArgs) -> Result<Vec<String>> {
    let (mut names, mut skipped) = (Vec::new(), Skipped::default());
    for image in &args.images {
        let path = Path::new(image);
        if fetch::is_address(image) {
            if !args.fetch {
                return Err(Error::request("images", format!("{image} is an address: --fetch downloads it")));
            }
            names.push(image.clone());
        } else if path.is_dir() {
            for file in pictures::in_folder(path, args.recursive, &mut skipped)? {
                let name = file.display().to_string();
                match pages(args, &name) {
                    Ok(mut pages) => names.append(&mut pages),
                    Err(error) => skipped.add(&file, error.to_string()),
                }
            }
        } else {
            names.append(&mut pages(args, image)?);
        }
    }
    if !skipped.is_empty() {
        io::inform(&skipped.to_string());
    }
    match names.is_empty() {
        true => Err(Error::request("images", "there are no pictures and no PDF documents")),
        false => Ok(names),
    }
}

/// The chosen pages of a document; the name of a picture, or of a page, as it is.
fn pages(args: &DescribeArgs, name: &str) -> Result<Vec<String>> {
    let path = Path::new(name);
    if !pictures::is_document(path) || !path.is_file() {
        return Ok(vec![name.to_owned()]);
    }
    let total = pdf::count(&io::read(path)?)?;
    let chosen = args.pages.as_ref().map_or_else(|| (1..=total).collect(), |pages| pages.of(total));
    if chosen.is_empty() {
        return Err(Error::request("--pages", format!("{name} has {total} pages")));
    }
    Ok(chosen.iter().map(|page| format!("{name}#page={page}")).collect())
}
