//! `ocelli inspect`: the contents of a package.

use std::collections::BTreeMap;
use std::fmt::Display;

use clap::Args;
use ocelli::config::{KvPrecision, TextConfig};
use ocelli::families::{ModelConfig, definition};
use ocelli::gpu::{DeviceChoice, DeviceReport, Gpu, GpuOptions};
use ocelli::kernels::self_test::{Proof, SelfTestReport, self_test};
use ocelli::layout::Layout;
use ocelli::model::DryModel;
use ocelli::package::Package;
use ocelli::package::manifest::{ChatSettings, Manifest, TensorEntry};
use ocelli::package::source::Directory;
use ocelli::state::State;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::shared::args::{self, DeviceArgs, MemoryArgs};
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::report::LoadReport;
use crate::shared::units;

/// Show the contents of a package.
#[derive(Args)]
pub(crate) struct InspectArgs {
    /// The package: a directory, or the name of a model [default: the only model that was pulled].
    #[arg(env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    pub(crate) package: PackagePath,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Read every file and check its hash.
    #[arg(long)]
    verify: bool,
    /// Load it, and show how long that took and how much memory.
    #[arg(long)]
    load: bool,
    /// List every tensor, and the earlier layout of requantised ones.
    #[arg(long)]
    tensors: bool,
    /// Open the device (auto, gpu or cpu) and run the self-test of the kernels that the package needs.
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "auto", value_parser = args::device())]
    device: Option<DeviceChoice>,
}

impl InspectArgs {
    /// Options for loading on the device that is named.
    fn memory(&self) -> MemoryArgs {
        MemoryArgs { device: self.device.map(DeviceArgs::of).unwrap_or_default(), ..MemoryArgs::default() }
    }
}

/// The printed summary.
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
    /// Bytes of the KV cache for each token, by precision.
    cache_bytes_per_token: BTreeMap<KvPrecision, u64>,
    /// Absent unless requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    /// Numbers of requantised tensors, by their earlier layout.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    requantized_from: BTreeMap<Layout, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadReport>,
    /// Absent unless requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
    config: &'a ModelConfig,
    chat: &'a ChatSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<&'a [TensorEntry]>,
}

/// The device on which the model would run.
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

/// Fails for a damaged file with `--verify`, and for a kernel that fails its self-test with `--device`.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let package = pollster::block_on(Package::open(Directory(args.package.to_path_buf())))?;
    if args.verify {
        pollster::block_on(package.verify())?;
    }
    let mut summary = summarise(&package.manifest, args);
    if args.load {
        summary.load = Some(pollster::block_on(open::load(&args.package, None, &args.memory()))?.1);
    }
    if let Some(device) = args.device {
        summary.device = Some(pollster::block_on(test_device(&package.manifest, device))?);
    }
    let json = || serde_json::to_string_pretty(&summary).map_err(|e| Error::Internal { detail: e.to_string() });
    io::print(&if args.json { json()? } else { render(&summary) })
}

async fn test_device(manifest: &Manifest, device: DeviceChoice) -> Result<Device> {
    let gpu = Gpu::open_with(GpuOptions { device, ..GpuOptions::default() }).await?;
    let mut dry = DryModel::new(manifest, gpu.dry_device(), gpu.kernel_config())?;
    let kernels = |config| {
        Ok(KvPrecision::ALL
            .into_iter()
            .map(|kv| dry.kernels(config, [kv, kv.min(KvPrecision::F16)]))
            .collect::<Result<Vec<_>>>()?
            .concat())
    };
    let self_test = self_test(&gpu, kernels, units::milliseconds, Proof::default(), &mut |_, _| ()).await?;
    Ok(Device { report: gpu.report().clone(), self_test })
}

fn summarise<'a>(manifest: &'a Manifest, args: &InspectArgs) -> Summary<'a> {
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
        verified: args.verify.then_some(true),
        requantized_from,
        load: None,
        device: None,
        config: &manifest.config,
        chat: &manifest.chat,
        tensors: args.tensors.then_some(&manifest.tensors),
    }
}

/// A line of the summary.
fn row(label: impl Display, text: impl Display) -> String {
    format!("  {label:<10} {text}")
}

fn render(summary: &Summary<'_>) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let mut lines = vec![summary.name.to_owned()];
    lines.extend(summary.license.map(|license| row("license", license)));
    lines.extend(summary.source.map(|source| row("source", source)));
    lines.push(row("decoder", describe_decoder(summary.config.text())));
    let vision = definition(summary.config).vision_summary();
    lines.extend((!vision.is_empty()).then(|| row("tower", vision)));
    lines.push(row("chat", describe_chat(summary.chat)));
    let (weights, shards, size) = (summary.weights, summary.shards, megabytes(summary.bytes));
    lines.push(row("weights", format!("{weights} in {shards} shards, {size:.1} MB")));
    for (layout, Share { tensors, weights, bytes }) in &summary.layouts {
        lines.push(row(layout.name(), format!("{weights} in {tensors} tensors, {:.1} MB", megabytes(*bytes))));
    }
    let cache: Vec<_> = summary.cache_bytes_per_token.iter().map(|(kv, bytes)| format!("{bytes} in {kv}")).collect();
    lines.push(row("cache", format!("bytes a token: {}", cache.join(", "))));
    for (layout, tensors) in &summary.requantized_from {
        lines.push(row("requant", format!("{tensors} tensors were {layout} before and have been rounded twice")));
    }
    lines.extend(summary.load.as_ref().map(|report| row("load", report)));
    for TensorEntry { name, shape, layout, requantized_from, .. } in summary.tensors.unwrap_or_default() {
        let before = requantized_from.map_or_else(String::new, |layout| format!(", was {layout}"));
        lines.push(format!("  {name} {shape:?} {layout}{before}"));
    }
    lines.extend(summary.verified.map(|_| row("verified", "every file has the hash the manifest promises")));
    if let Some(Device { report, self_test }) = &summary.device {
        let DeviceReport { name, backend, driver, class, features, subgroup_sizes, threads, .. } = report;
        let [fewest, most] = subgroup_sizes;
        lines.push(row("device", format!("{name} ({backend}, {driver})")));
        lines.push(match threads {
            Some(threads) => row("", format!("{threads} threads")),
            None => row("", format!("{class:?}, {}, subgroups of {fewest} to {most}", features.name())),
        });
        let SelfTestReport { passed, failed, ms, .. } = self_test;
        lines.push(row("self-test", format!("{passed} kernels compute rightly, in {ms:.0} ms")));
        let unused = failed.iter().map(|f| row("", format!("not used: {} ({}): {}", f.kernel, f.tier, f.detail)));
        lines.extend(unused);
    }
    lines.join("\n")
}

/// One line about the chat settings.
pub(crate) fn describe_chat(chat: &ChatSettings) -> String {
    let guess = if chat.template_is_assumed { ", a guess: the checkpoint's own template is another" } else { "" };
    let system = if chat.default_system_prompt.is_some() { ", with a default system prompt" } else { "" };
    format!("layout {}{guess}{system}", chat.template)
}

fn describe_decoder(text: &TextConfig) -> String {
    format!(
        "{} layers, {} wide, {}/{} heads of {}, feed-forward {}, vocabulary {} ({}), context {}",
        text.layers.len(),
        text.hidden_size,
        text.num_attention_heads,
        text.num_key_value_heads,
        text.head_dim,
        text.intermediate_size,
        text.vocab_size,
        if text.tie_word_embeddings { "tied" } else { "not tied" },
        text.max_position_embeddings,
    )
}
