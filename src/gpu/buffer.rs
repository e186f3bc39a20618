//! Storage buffers counted by the ledger, and byte ranges of them.

use std::ops::Range;
use std::sync::Arc;

use super::device::Gpu;
use super::host::HostMemory;
use super::ledger::{Ledger, Purpose};
use crate::error::{Error, Result};

/// A storage buffer. Clones share it. Dropping the last clone frees the memory at once, without waiting for a
/// garbage collector.
#[derive(Debug, Clone)]
pub struct Buffer(pub(super) Arc<Owned>);

#[derive(Debug)]
pub(super) struct Owned {
    raw: Raw,
    bytes: u64,
    purpose: Purpose,
    ledger: Arc<Ledger>,
}

/// The memory of a buffer.
#[derive(Debug)]
enum Raw {
    /// None, on a [`super::DryDevice`].
    Dry,
    WebGpu(wgpu::Buffer),
    Host(HostMemory),
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.ledger.release(self.purpose, self.bytes);
        if let Raw::WebGpu(raw) = &self.raw {
            raw.destroy();
        }
    }
}

impl Buffer {
    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Creates a buffer without memory, which `ledger` counts like any other.
    pub(super) fn dry(purpose: Purpose, bytes: u64, ledger: &Arc<Ledger>) -> Self {
        ledger.add(purpose, bytes);
        Self(Arc::new(Owned { raw: Raw::Dry, bytes, purpose, ledger: ledger.clone() }))
    }

    /// Returns true if both are the same buffer.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns true if other clones of the buffer exist.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The whole buffer.
    pub fn all(&self) -> Slice {
        Slice { buffer: self.clone(), offset: 0, bytes: self.bytes() }
    }

    /// `range` of the buffer in bytes. Bindings need offsets that are multiples of 256.
    pub fn slice(&self, range: Range<u64>) -> Slice {
        Slice { buffer: self.clone(), offset: range.start, bytes: range.end - range.start }
    }

    /// The wgpu buffer.
    ///
    /// # Errors
    /// [`Error::Internal`] for a buffer of another device.
    pub(super) fn raw(&self) -> Result<&wgpu::Buffer> {
        match &self.0.raw {
            Raw::WebGpu(raw) => Ok(raw),
            Raw::Dry | Raw::Host(_) => Err(foreign("a GPU")),
        }
    }

    /// The memory of a processor.
    ///
    /// # Errors
    /// [`Error::Internal`] for a buffer of another device.
    pub(super) fn host_memory(&self) -> Result<&HostMemory> {
        match &self.0.raw {
            Raw::Host(memory) => Ok(memory),
            Raw::Dry | Raw::WebGpu(_) => Err(foreign("a processor")),
        }
    }
}

fn foreign(device: &str) -> Error {
    Error::Internal { detail: format!("a buffer of another device was used on {device}") }
}

/// A range of a buffer, as a kernel binds it.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The buffer.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl Slice {
    /// The slice without its first `bytes`.
    #[must_use]
    pub fn skip(&self, bytes: u64) -> Self {
        Self { buffer: self.buffer.clone(), offset: self.offset + bytes, bytes: self.bytes.saturating_sub(bytes) }
    }

    /// The slice without its first `rows` rows of `width` 32-bit floats.
    #[must_use]
    pub fn skip_rows(&self, rows: usize, width: usize) -> Self {
        self.skip((rows * width * size_of::<f32>()) as u64)
    }
}

/// Smallest row count whose byte offset is a multiple of 256, as bindings need, for every width in `widths` (in
/// 32-bit floats).
pub fn row_alignment(widths: &[usize]) -> usize {
    // All are powers of two: the largest is a multiple of the others.
    widths.iter().map(|width| 64 >> width.trailing_zeros().min(6)).max().unwrap_or(1)
}

/// Bytes allocated for a buffer of `bytes` bytes.
pub fn allocated(bytes: u64) -> u64 {
    bytes.next_multiple_of(16).max(16)
}

/// Allocates the buffers of a model: a [`Gpu`], or a [`super::DryDevice`], which only counts them.
pub trait Allocator {
    /// Allocates a storage buffer of at least `bytes`, filled with zeros.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] if no binding can hold it, [`Error::OutOfMemory`]. A browser reports exhausted
    /// memory later, in [`Gpu::flush_errors`] or [`Gpu::check`].
    fn alloc(&self, label: &str, purpose: Purpose, bytes: u64) -> Result<Buffer>;

    /// Allocates a storage buffer of `bytes` and fills it with `data`, which a dry device does not call.
    ///
    /// # Errors
    /// See [`Self::alloc`].
    fn upload_with(&self, label: &str, purpose: Purpose, bytes: u64, data: &dyn Fn() -> Vec<u8>) -> Result<Buffer>;

    /// Largest buffer in bytes that can be bound as a whole.
    fn max_binding(&self) -> u64;

    /// Most storage buffers that a kernel may bind.
    fn max_bindings(&self) -> usize;
}

/// Checks that one binding can hold `bytes`.
pub(super) fn check_binding(label: &str, bytes: u64, available: u64) -> Result<()> {
    if bytes <= available {
        return Ok(());
    }
    let limit = "maxStorageBufferBindingSize";
    Err(Error::LimitsTooSmall { limit, what: label.into(), needed: bytes, available })
}

impl Allocator for Gpu {
    fn alloc(&self, label: &str, purpose: Purpose, bytes: u64) -> Result<Buffer> {
        check_binding(label, allocated(bytes), self.max_binding())?;
        self.alloc_beside(label, purpose, bytes)
    }

    fn upload_with(&self, label: &str, purpose: Purpose, bytes: u64, data: &dyn Fn() -> Vec<u8>) -> Result<Buffer> {
        let buffer = self.alloc(label, purpose, bytes)?;
        self.write(&buffer, 0, &data())?;
        Ok(buffer)
    }

    fn max_binding(&self) -> u64 {
        self.0.max_binding
    }

    fn max_bindings(&self) -> usize {
        self.0.max_bindings
    }
}

impl Gpu {
    /// Allocates a buffer that belongs to no model: [`GpuOptions::max_binding`](super::GpuOptions) does not limit
    /// it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn alloc_beside(&self, label: &str, purpose: Purpose, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.own(label, purpose, bytes, usage)
    }

    /// Allocates a buffer for parameters that are written once and read by many runs.
    pub(super) fn alloc_uniform(&self, label: &str, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        self.own(label, Purpose::Activations, bytes, usage)
    }

    fn own(&self, label: &str, purpose: Purpose, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let bytes = allocated(bytes);
        self.0.ledger.check_room(label, purpose, bytes)?;
        let raw = match self.host() {
            None => Raw::WebGpu(self.create_buffer(label, purpose, bytes, usage)?),
            Some(host) => {
                self.count(|counters| counters.buffers += 1);
                self.check()?;
                let refusal = || self.0.ledger.out_of_memory(label, purpose, bytes, String::new());
                Raw::Host(HostMemory::new(host, bytes).ok_or_else(refusal)?)
            }
        };
        self.0.ledger.add(purpose, bytes);
        let ledger = self.0.ledger.clone();
        Ok(Buffer(Arc::new(Owned { raw, bytes, purpose, ledger })))
    }

    /// Creates a buffer inside an error scope.
    pub(super) fn create_buffer(
        &self,
        label: &str,
        purpose: Purpose,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        self.count(|counters| counters.buffers += 1);
        let refusal = self.0.ledger.out_of_memory(label, purpose, size, String::new());
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let device = &self.webgpu()?.device;
        let raw = self.watched(device, refusal, wgpu::ErrorFilter::OutOfMemory, || device.create_buffer(&descriptor));
        self.check().inspect_err(|_| raw.destroy())?;
        Ok(raw)
    }

    /// Allocates a buffer that holds `data`.
    ///
    /// # Errors
    /// See [`Allocator::alloc`].
    pub fn upload<T: bytemuck::NoUninit>(&self, label: &str, purpose: Purpose, data: &[T]) -> Result<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.alloc(label, purpose, bytes.len() as u64)?;
        self.write(&buffer, 0, bytes)?;
        Ok(buffer)
    }

    /// Writes `bytes` at `offset`, before the next run. Pads the last word with zeros.
    ///
    /// # Errors
    /// [`Error::Internal`] if it does not fit.
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let fits = offset.is_multiple_of(4) && offset + bytes.len() as u64 <= buffer.bytes();
        if !fits {
            let detail = format!("write of {} bytes at {offset} into {}", bytes.len(), buffer.bytes());
            return Err(Error::Internal { detail });
        }
        if let Some(host) = self.host() {
            return self.write_to_host(&**host, &buffer.all().skip(offset), bytes);
        }
        let raw = buffer.raw()?;
        // The queue keeps a copy until the write is done.
        self.0.ledger.pass(Purpose::Staging, bytes.len().next_multiple_of(4) as u64);
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        if !words.is_empty() {
            self.queue_to_write()?.write_buffer(raw, offset, words);
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            self.queue_to_write()?.write_buffer(raw, offset + words.len() as u64, &last);
        }
        Ok(())
    }
}
