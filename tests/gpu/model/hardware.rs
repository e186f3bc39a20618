//! Models with the kernels for hardware: steps read rows in lane layouts, prompts use workgroup memory.

use ocelli::engine::Engine;
use ocelli::gpu::{DeviceClass, Gpu, KernelConfig};
use ocelli::import::layouts::Layouts;
use ocelli::layout::Layout;

use super::{cases, engine_agrees};
use crate::packages::{Contents, GGUF, load_on, pack, pack_gguf_pair};

const HARDWARE: KernelConfig = KernelConfig::of(DeviceClass::Hardware);

async fn load(files: &Contents, config: KernelConfig) -> Engine {
    let gpu = Gpu::open().await.expect("a GPU");
    gpu.set_kernel_config(config);
    load_on(&gpu, files, 512, None).await
}

fn agrees_in(config: KernelConfig, checkpoint: &str, layout: Layout, quant: &str) {
    pollster::block_on(async {
        let mut engine = load(&pack(checkpoint, layout).await, config).await;
        engine_agrees(&mut engine, &format!("{checkpoint} {layout} as {config:?}"), cases(checkpoint, quant)).await;
    });
}

fn agrees(checkpoint: &str, layout: Layout, quant: &str) {
    agrees_in(HARDWARE, checkpoint, layout, quant);
}

fn pair_agrees(name: &str) {
    pollster::block_on(async {
        let folder = format!("{GGUF}/{name}");
        let mut engine = load(&pack_gguf_pair(&folder, "text", Layouts::default()).await, HARDWARE).await;
        engine_agrees(&mut engine, &format!("{name} as hardware"), cases(&folder, "")).await;
    });
}

#[test]
fn mistral_agrees_with_transformers() {
    agrees("tied_two_images", Layout::Q4_0, "q4_0");
    agrees("like_8b", Layout::Q8_0, "q8_0");
}

#[test]
fn mistral_agrees_with_transformers_in_few_registers() {
    agrees_in(KernelConfig { few_registers: true, ..HARDWARE }, "tied_two_images", Layout::Q4_0, "q4_0");
}

#[test]
fn llama_agrees_with_transformers() {
    agrees("llama3", Layout::F16, "f16");
}

#[test]
fn mllama_agrees_with_transformers() {
    agrees("mllama", Layout::Q4_0, "q4_0");
}

#[test]
fn idefics3_agrees_with_transformers() {
    agrees("smolvlm", Layout::Q4_0, "q4_0");
    agrees("granite_docling", Layout::Q8_0, "q8_0");
}

#[test]
fn minicpmv4_6_agrees_with_transformers() {
    agrees("minicpmv4_6", Layout::Q4_0, "q4_0");
}

/// Rows of 256 numbers, in the largest groups of a lane layout.
#[test]
fn qwen_agrees_with_transformers() {
    pair_agrees("qwen3_vl_q4_k");
    pair_agrees("qwen3_5_q4_k");
}
