//! Compiles WGSL to pipelines, each once per device.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::device::Gpu;
use super::driver::WebGpu;
use super::kernel::{Access, Kernel, Pipeline, bindings};
use super::lock;
use super::threads::for_each;
use crate::error::{Error, Result};

/// A kernel with its WGSL for this device's compiler.
struct Source<'a> {
    kernel: &'a Kernel,
    wgsl: String,
    bindings: Vec<Access>,
}

impl Gpu {
    /// Compiles kernels, each once, several at a time. `on_compiled` receives the number of compiled kernels and
    /// the total.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] for a shader that the driver refuses, or as [`Gpu::check`].
    pub async fn compile<'a>(
        &self,
        kernels: impl IntoIterator<Item = &'a Kernel>,
        on_compiled: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let kernels: Vec<_> = kernels.into_iter().filter(|kernel| seen.insert(*kernel)).collect();
        if self.host().is_some() {
            on_compiled(kernels.len(), kernels.len());
            return self.check();
        }
        let missing: Vec<_> = {
            let pipelines = lock(&self.webgpu()?.pipelines);
            kernels.iter().filter(|kernel| !pipelines.contains_key(**kernel)).collect()
        };
        let mut done = 0;
        let mut tell = || {
            done += 1;
            on_compiled(done, kernels.len());
        };
        (0..kernels.len() - missing.len()).for_each(|_| tell());
        let sources = missing.into_iter().map(|kernel| self.source(kernel)).collect::<Result<Vec<_>>>()?;
        match self.0.options.compile_ahead {
            None => {
                let webgpu = self.webgpu()?;
                for_each(&sources, |source| drop(self.make(webgpu, source)), tell);
            }
            Some(compile_ahead) => {
                let ahead = sources.iter().map(|source| async move {
                    compile_ahead(source.kernel.name(), &source.wgsl, &source.bindings).await;
                    source
                });
                let mut compiling: FuturesUnordered<_> = ahead.collect();
                while let Some(source) = self.unless_lost(compiling.next()).await? {
                    self.make(self.webgpu()?, source);
                    tell();
                }
            }
        }
        self.flush_errors().await
    }

    fn source<'a>(&self, kernel: &'a Kernel) -> Result<Source<'a>> {
        let mut wgsl = kernel.needs().directives(self.webgpu()?.is_browser) + &kernel.source()?;
        if let Some(faults) = &self.0.options.faults {
            wgsl = faults.source(kernel.name(), wgsl);
        }
        Ok(Source { kernel, bindings: bindings(&wgsl)?, wgsl })
    }

    /// Returns a kernel's pipeline and compiles it now if nobody did before. [`Gpu::check`] reports a shader that
    /// the driver refuses.
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        let webgpu = self.webgpu()?;
        if let Some(pipeline) = lock(&webgpu.pipelines).get(kernel) {
            return Ok(pipeline.clone());
        }
        self.count(|counters| counters.late_pipelines += 1);
        Ok(self.make(webgpu, &self.source(kernel)?))
    }

    fn make(&self, webgpu: &WebGpu, source: &Source<'_>) -> Arc<Pipeline> {
        let refusal = Error::Gpu { stage: format!("compiling {}", source.kernel.name()), detail: String::new() };
        let device = &webgpu.device;
        let compiled = self.watched(device, refusal.clone(), wgpu::ErrorFilter::Validation, || {
            self.watched(device, refusal, wgpu::ErrorFilter::Internal, || self.build(device, source))
        });
        let pipeline = Arc::new(compiled);
        lock(&webgpu.pipelines).insert(source.kernel.clone(), pipeline.clone());
        pipeline
    }

    fn build(&self, device: &wgpu::Device, Source { kernel, wgsl, bindings }: &Source<'_>) -> Pipeline {
        self.count(|counters| counters.pipelines += 1);
        let label = Some(kernel.name());
        let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = bindings.iter().enumerate().map(|(index, access)| {
            entry(index + 1, wgpu::BufferBindingType::Storage { read_only: *access == Access::Read })
        });
        let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform)).chain(storage).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(wgsl.into()),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            // Kernels clear what they need: drivers were seen to zero too late (wgpu #4591), and others are slow at it. Browsers always do.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { raw, layout }
    }
}
