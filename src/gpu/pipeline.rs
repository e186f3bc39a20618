//! WGSL to compiled pipelines, each made once a device.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::counters::count;
use super::device::Gpu;
use super::device_errors::ScopeSubject;
use super::features::Features;

/// How a kernel uses one of its storage bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only reads it.
    Read,
    /// Reads and writes it.
    ReadWrite,
}

/// A kernel ready to compile: WGSL whose entry point is `main`, with its parameters as uniform binding 0 and storage bindings
/// from 1 on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Name for listings, such as `matmul<q4_0>`.
    pub name: Cow<'static, str>,
    /// Optional features that it uses: what its directives are made of.
    pub needs: Features,
    /// Constants, snippets and the shader itself, joined in this order.
    pub wgsl: Vec<Cow<'static, str>>,
    /// Storage bindings from 1 on.
    pub bindings: Vec<Access>,
}

impl Kernel {
    /// The whole shader, but for its directives.
    pub fn source(&self) -> String {
        self.wgsl.concat()
    }
}

/// The pipelines of a device.
#[derive(Debug, Default)]
pub(super) struct Pipelines(Mutex<HashMap<Kernel, Arc<Pipeline>>>);

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

impl Gpu {
    /// Compiles a kernel, or finds it compiled. A shader the driver refuses shows in [`Gpu::check`].
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Arc<Pipeline> {
        let mut pipelines = self.pipelines().0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(pipeline) = pipelines.get(kernel) {
            return pipeline.clone();
        }
        let question = ScopeSubject::Kernel { name: kernel.name.to_string() };
        let compiled = self.watched(question.clone(), wgpu::ErrorFilter::Validation, || {
            self.watched(question, wgpu::ErrorFilter::Internal, || self.build(kernel))
        });
        let pipeline = Arc::new(compiled);
        pipelines.insert(kernel.clone(), pipeline.clone());
        pipeline
    }

    /// The whole shader as this device's compiler takes it.
    fn source(&self, kernel: &Kernel) -> String {
        kernel.needs.directives(self.is_browser()) + &kernel.source()
    }

    fn build(&self, kernel: &Kernel) -> Pipeline {
        count(&self.tally().pipelines, 1);
        let device = self.device();
        let label = Some(&*kernel.name);
        let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = kernel.bindings.iter().enumerate().map(|(index, access)| {
            entry(index + 1, wgpu::BufferBindingType::Storage { read_only: *access == Access::Read })
        });
        let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform)).chain(storage).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(self.injection().source(&kernel.name, self.source(kernel)).into()),
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
