//! `ocelli inspect`: what a package holds.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::PathBuf;

use clap::Args;
use ocelli::config::KvPrecision;
use ocelli::families::{ModelConfig, definition};
use ocelli::gpu::{DeviceReport, Gpu};
use ocelli::kernels::self_test::{SelfTestReport, self_test};
use ocelli::model::DryModel;
use ocelli::state::State;
use ocelli::weights::layout::Layout;
use ocelli::weights::manifest::{ChatSettings, Manifest, TensorEntry};
use ocelli::weights::package::Package;
use ocelli::weights::source::Directory;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::open;
use crate::report::LoadReport;

/// Show what a package holds.
#[derive(Args)]
pub(crate) struct InspectArgs {
    /// Directory of the package.
    package: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Read every file and check its hash.
    #[arg(long)]
    verify: bool,
    /// Load it, and show how long that took and how much memory.
    #[arg(long)]
    load: bool,
    /// List every tensor, and what it was where it was quantised twice.
    #[arg(long)]
    tensors: bool,
    /// Open the GPU and run the kernels that the package needs on known numbers.
    #[arg(long)]
    device: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Summary<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    quantization: Layout,
    weights: u64,
    bytes: u64,
    shards: usize,
    layouts: BTreeMap<Layout, Share>,
    /// Bytes that a token of a conversation takes in the cache of keys and values, by the cache's precision.
    cache_bytes_per_token: BTreeMap<KvPrecision, u64>,
    /// Absent where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    /// Tensors that were quantised in another layout before, by that layout.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    requantized_from: BTreeMap<Layout, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadReport>,
    /// Absent where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
    config: &'a ModelConfig,
    chat: &'a ChatSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<&'a [TensorEntry]>,
}

/// What the model would run on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    #[serde(flatten)]
    report: DeviceReport,
    self_test: SelfTestReport,
}

/// The tensors of one layout.
#[derive(Default, Serialize)]
struct Share {
    tensors: usize,
    weights: u64,
    bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// A package that cannot be read, with `--verify` one whose files are damaged, and with `--device` a GPU that computes wrongly.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let package = pollster::block_on(Package::open(Directory(args.package.clone())))?;
    if args.verify {
        pollster::block_on(verify(&package))?;
    }
    let mut summary = summarise(&package.manifest, args.verify.then_some(true));
    summary.tensors = args.tensors.then_some(&package.manifest.tensors);
    if args.load {
        summary.load = Some(pollster::block_on(open::load(&args.package, None, &open::MemoryArgs::default()))?.1);
    }
    if args.device {
        summary.device = Some(pollster::block_on(test_device(&package.manifest))?);
    }
    let text = if args.json {
        serde_json::to_string_pretty(&summary).map_err(|e| Error::Internal { detail: e.to_string() })?
    } else {
        render(&summary).map_err(|e| Error::Internal { detail: e.to_string() })?
    };
    crate::print(&text)
}

async fn verify(package: &Package<Directory>) -> Result<()> {
    for shard in 0..package.manifest.shards.len() {
        package.read_shard(shard).await?;
    }
    package.read_tokenizer().await.map(drop)
}

async fn test_device(manifest: &Manifest) -> Result<Device> {
    let gpu = Gpu::open().await?;
    let mut dry = DryModel::new(manifest, gpu.paper(), gpu.kernel_config())?;
    let kernels = |config| {
        let kernels = KvPrecision::ALL.map(|kv| dry.kernels(config, kv));
        kernels.into_iter().collect::<Result<Vec<_>>>().map(|kernels| kernels.concat())
    };
    let self_test = self_test(&gpu, kernels, open::milliseconds, &mut |_, _| ()).await?;
    Ok(Device { report: gpu.report().clone(), self_test })
}

fn summarise(manifest: &Manifest, verified: Option<bool>) -> Summary<'_> {
    let mut layouts = BTreeMap::<Layout, Share>::new();
    let mut requantized_from = BTreeMap::new();
    for tensor in &manifest.tensors {
        if let Some(layout) = tensor.requantized_from {
            *requantized_from.entry(layout).or_insert(0) += 1;
        }
        let share = layouts.entry(tensor.layout).or_default();
        share.tensors += 1;
        share.weights += tensor.shape.iter().map(|&size| size as u64).product::<u64>();
        share.bytes += tensor.planes.iter().map(|plane| plane.bytes).sum::<u64>();
    }
    Summary {
        name: &manifest.name,
        license: manifest.license.as_deref(),
        source: manifest.source.as_deref(),
        quantization: manifest.quantization,
        weights: layouts.values().map(|share| share.weights).sum(),
        bytes: manifest.total_bytes(),
        shards: manifest.shards.len(),
        layouts,
        cache_bytes_per_token: KvPrecision::ALL.map(|kv| (kv, State::entry_bytes(manifest.config.text(), kv))).into(),
        verified,
        requantized_from,
        load: None,
        device: None,
        config: &manifest.config,
        chat: &manifest.chat,
        tensors: None,
    }
}

fn render(summary: &Summary<'_>) -> std::result::Result<String, fmt::Error> {
    let mut out = String::new();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    writeln!(out, "{}", summary.name)?;
    for (label, value) in [("license", summary.license), ("source", summary.source)] {
        if let Some(value) = value {
            writeln!(out, "  {label:<10} {value}")?;
        }
    }
    render_config(&mut out, summary.config)?;
    writeln!(out, "  {:<10} {}", "chat", describe_chat(summary.chat))?;
    let (weights, shards, size) = (summary.weights, summary.shards, megabytes(summary.bytes));
    writeln!(out, "  {:<10} {weights} in {shards} shards, {size:.1} MB", "weights")?;
    for (layout, Share { tensors, weights, bytes }) in &summary.layouts {
        writeln!(out, "  {:<10} {weights} in {tensors} tensors, {:.1} MB", layout.name(), megabytes(*bytes))?;
    }
    let cache = summary.cache_bytes_per_token.iter().map(|(precision, bytes)| format!("{bytes} in {precision}"));
    writeln!(out, "  {:<10} bytes a token: {}", "cache", cache.collect::<Vec<_>>().join(", "))?;
    for (layout, tensors) in &summary.requantized_from {
        writeln!(out, "  {:<10} {tensors} tensors were {layout} before and have been rounded twice", "requant")?;
    }
    if let Some(report) = &summary.load {
        writeln!(out, "  {:<10} {report}", "load")?;
    }
    for TensorEntry { name, shape, layout, requantized_from, .. } in summary.tensors.unwrap_or_default() {
        let before = requantized_from.map_or_else(String::new, |layout| format!(", was {layout}"));
        writeln!(out, "  {name} {shape:?} {layout}{before}")?;
    }
    if summary.verified.is_some() {
        writeln!(out, "  {:<10} every file has the hash the manifest promises", "verified")?;
    }
    if let Some(Device { report, self_test }) = &summary.device {
        let DeviceReport { name, backend, driver, .. } = report;
        writeln!(out, "  {:<10} {name} ({backend}, {driver})", "device")?;
        let [fewest, most] = report.subgroup_sizes;
        let (features, class) = (report.features.name(), report.class);
        writeln!(out, "  {:<10} {class:?}, {features}, subgroups of {fewest} to {most}", "")?;
        writeln!(out, "  {:<10} {} kernels compute rightly, in {:.0} ms", "self-test", self_test.passed, self_test.ms)?;
        for failure in &self_test.failed {
            writeln!(out, "  {:<10} not used: {} ({}): {}", "", failure.kernel, failure.tier, failure.detail)?;
        }
    }
    Ok(out.trim_end().into())
}

/// How a conversation becomes tokens, in a line.
pub(crate) fn describe_chat(chat: &ChatSettings) -> String {
    let guess = if chat.template_is_assumed { ", a guess: the checkpoint's own template is another" } else { "" };
    let system = if chat.default_system_prompt.is_some() { ", with a default system prompt" } else { "" };
    format!("layout {}{guess}{system}", chat.template)
}

fn render_config(out: &mut String, config: &ModelConfig) -> fmt::Result {
    let text = config.text();
    let tied = if text.tie_word_embeddings { "tied" } else { "not tied" };
    writeln!(
        out,
        "  {:<10} {} layers, {} wide, {}/{} heads of {}, feed-forward {}, vocabulary {} ({tied}), context {}",
        "decoder",
        text.layers.len(),
        text.hidden_size,
        text.num_attention_heads,
        text.num_key_value_heads,
        text.head_dim,
        text.intermediate_size,
        text.vocab_size,
        text.max_position_embeddings,
    )?;
    let vision = definition(config).vision_summary();
    if !vision.is_empty() {
        writeln!(out, "  {:<10} {vision}", "tower")?;
    }
    Ok(())
}
