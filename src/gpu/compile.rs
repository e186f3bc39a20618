//! WGSL to compiled pipelines, each made once a device.

use std::collections::HashSet;
use std::sync::Arc;

use super::device::Gpu;
use super::kernel::{Access, Kernel, Pipeline, bindings};
use super::lock;
use crate::error::{Error, Result};

impl Gpu {
    /// Compiles kernels, each once. `on_compiled` is told how many kernels are done, of how many: natively one by one, in
    /// a browser, which compiles beside the page, as it answers.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] for a shader the driver refuses, or as [`Gpu::check`].
    pub async fn compile<'a>(
        &self,
        kernels: impl IntoIterator<Item = &'a Kernel>,
        on_compiled: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let kernels: Vec<_> = kernels.into_iter().filter(|kernel| seen.insert(*kernel)).collect();
        let total = kernels.len();
        let mut told = 0;
        let mut tell = |done: usize| {
            if done > told {
                told = done;
                on_compiled(done, total);
            }
        };
        for (index, kernel) in kernels.into_iter().enumerate() {
            self.pipeline(kernel)?;
            tell((index + 1).saturating_sub(self.0.errors.shaders()));
        }
        self.flush_telling(|left| tell(total.saturating_sub(left))).await
    }

    /// Compiles a kernel, or finds it compiled. A shader the driver refuses shows in [`Gpu::check`].
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        let mut pipelines = lock(&self.0.pipelines);
        if let Some(pipeline) = pipelines.get(kernel) {
            return Ok(pipeline.clone());
        }
        let refusal = Error::Gpu { stage: format!("compiling {}", kernel.name()), detail: String::new() };
        let source = kernel.source()?;
        let bindings = bindings(&source)?;
        // As this device's compiler takes it.
        let mut source = kernel.needs().directives(self.0.is_browser) + &source;
        if let Some(faults) = &self.0.options.faults {
            source = faults.source(kernel.name(), source);
        }
        let compiled = self.watched(refusal.clone(), wgpu::ErrorFilter::Validation, || {
            self.watched(refusal, wgpu::ErrorFilter::Internal, || self.build(kernel.name(), source, &bindings))
        });
        let pipeline = Arc::new(compiled);
        pipelines.insert(kernel.clone(), pipeline.clone());
        Ok(pipeline)
    }

    fn build(&self, name: &str, source: String, bindings: &[Access]) -> Pipeline {
        self.count(|counters| counters.pipelines += 1);
        let device = &self.0.device;
        let label = Some(name);
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
            source: wgpu::ShaderSource::Wgsl(source.into()),
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
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        Pipeline { raw, layout }
    }
}
