//! WGSL to compiled pipelines, each made once a device.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use super::counters::count;
use super::device::Gpu;
use super::device_errors::ScopeSubject;
use super::features::Features;
use crate::error::{Error, Result};
use crate::shader::Shader;

/// How a kernel uses one of its storage bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only reads it.
    Read,
    /// Reads and writes it.
    ReadWrite,
}

/// A kernel that can be compiled. Cloning and comparing kernels touches no WGSL.
#[derive(Debug, Clone)]
pub struct Kernel(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    name: Cow<'static, str>,
    needs: Features,
    shader: Shader,
    origin: Box<dyn Any + Send + Sync>,
}

impl Kernel {
    /// A kernel with a name for listings, such as `matmul<q4_0>`, the optional features that it uses, and its WGSL: an entry point `main`,
    /// parameters as uniform binding 0, storage bindings from 1 on. `origin` is what its maker likes to find again.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        needs: Features,
        shader: Shader,
        origin: impl Any + Send + Sync,
    ) -> Self {
        Self(Arc::new(Parts { name: name.into(), needs, shader, origin: Box::new(origin) }))
    }

    /// Name for listings.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Optional features that it uses: what its directives are made of.
    pub fn needs(&self) -> Features {
        self.0.needs
    }

    /// What its text is made of.
    pub fn shader(&self) -> &Shader {
        &self.0.shader
    }

    /// What its maker gave with it, if that is a `T`.
    pub fn origin<T: 'static>(&self) -> Option<&T> {
        self.0.origin.downcast_ref()
    }

    /// The whole shader, but for its directives.
    ///
    /// # Errors
    /// As [`Shader::source`].
    pub fn source(&self) -> Result<String> {
        self.0.shader.source()
    }

    /// Its storage bindings from 1 on.
    ///
    /// # Errors
    /// As [`Self::source`], and [`Error::Internal`] if their numbers are not 1, 2, 3 and so on.
    pub fn bindings(&self) -> Result<Vec<Access>> {
        bindings(&self.source()?)
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.shader == other.0.shader && self.0.needs == other.0.needs)
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.shader.hash(state);
    }
}

/// The storage bindings of a shader, from 1 on.
fn bindings(source: &str) -> Result<Vec<Access>> {
    let storage = source.lines().filter_map(|line| {
        let (_, address_space) = line.split_once("var<storage, ")?;
        let access = if address_space.starts_with("read_write>") { Access::ReadWrite } else { Access::Read };
        Some((line.split_once("@binding(")?.1.split_once(')')?.0.parse().ok()?, access))
    });
    let by_number: BTreeMap<usize, Access> = storage.collect();
    if by_number.keys().copied().eq(1..=by_number.len()) {
        return Ok(by_number.into_values().collect());
    }
    Err(Error::Internal { detail: format!("storage bindings {:?}", by_number.keys()) })
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
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines().0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(pipeline) = pipelines.get(kernel) {
            return Ok(pipeline.clone());
        }
        let question = ScopeSubject::Kernel { name: kernel.name().to_owned() };
        let source = kernel.source()?;
        let bindings = bindings(&source)?;
        // As this device's compiler takes it.
        let source = kernel.needs().directives(self.is_browser()) + &source;
        let source = self.injection().source(kernel.name(), source);
        let compiled = self.watched(question.clone(), wgpu::ErrorFilter::Validation, || {
            self.watched(question, wgpu::ErrorFilter::Internal, || self.build(kernel.name(), source, &bindings))
        });
        let pipeline = Arc::new(compiled);
        pipelines.insert(kernel.clone(), pipeline.clone());
        Ok(pipeline)
    }

    fn build(&self, name: &str, source: String, bindings: &[Access]) -> Pipeline {
        count(&self.tally().pipelines, 1);
        let device = self.device();
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
