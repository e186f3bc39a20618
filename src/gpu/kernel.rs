//! Kernels and their bindings.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use ocelli_cpu::Op;

use super::features::Features;
use crate::error::{Error, Result};
use crate::shader::Shader;

/// Access of a kernel to a storage binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only reads it.
    Read,
    /// Reads and writes it.
    ReadWrite,
}

/// A kernel to compile. Clones and comparisons do not touch the WGSL.
#[derive(Debug, Clone)]
pub struct Kernel(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    name: Cow<'static, str>,
    needs: Features,
    shader: Shader,
    /// The shader's hash, computed once because every launch looks the kernel up.
    hash: u64,
    origin: Box<dyn Origin>,
}

/// Data about a kernel that its creator keeps with it.
pub trait Origin: fmt::Debug + Any + Send + Sync {
    /// The operation of a processor that computes the same; `None` if there is none.
    fn op(&self) -> Option<Op>;
}

impl Kernel {
    /// A kernel with a name for listings, such as `matmul<q4_0>`, the optional features it uses, and its WGSL: an
    /// entry point `main`, parameters in uniform binding 0, storage bindings from 1 on. `origin` is data for
    /// [`Self::origin`].
    pub fn new(name: impl Into<Cow<'static, str>>, needs: Features, shader: Shader, origin: impl Origin) -> Self {
        let mut hasher = DefaultHasher::new();
        shader.hash(&mut hasher);
        Self(Arc::new(Parts { name: name.into(), needs, shader, hash: hasher.finish(), origin: Box::new(origin) }))
    }

    /// Name for listings.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Optional features that its directives enable.
    pub fn needs(&self) -> Features {
        self.0.needs
    }

    /// The shader without directives.
    pub fn shader(&self) -> &Shader {
        &self.0.shader
    }

    /// The `origin` passed to [`Self::new`], if it is a `T`.
    pub fn origin<T: 'static>(&self) -> Option<&T> {
        let origin: &dyn Any = &*self.0.origin;
        origin.downcast_ref()
    }

    /// See [`Origin::op`].
    pub fn op(&self) -> Option<Op> {
        self.0.origin.op()
    }

    /// The WGSL without directives.
    ///
    /// # Errors
    /// See [`Shader::source`].
    pub fn source(&self) -> Result<String> {
        self.0.shader.source()
    }

    /// The storage bindings from 1 on.
    ///
    /// # Errors
    /// The errors of [`Self::source`], and [`Error::Internal`] if they are not numbered 1, 2, 3 and so on.
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
        state.write_u64(self.0.hash);
    }
}

/// The storage bindings of a shader, from 1 on.
pub(super) fn bindings(source: &str) -> Result<Vec<Access>> {
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

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}
