//! Reading results back from the device.

use super::buffer::Slice;
use super::command_lists::{BufferCopy, CommandLists};
use super::device::Gpu;
use super::host::Host;
use super::ledger::Purpose;
use super::lock;
use crate::error::{Error, Result};

/// Stage reported when a read fails.
const STAGE: &str = "reading results back";

/// A reusable buffer for reading results back.
#[derive(Debug)]
pub struct Readback(Inner);

#[derive(Debug)]
enum Inner {
    WebGpu(Mapped),
    /// Length, and the bytes of the last submission that filled it.
    Host(u64, Option<Vec<u8>>),
}

#[derive(Debug)]
struct Mapped {
    raw: wgpu::Buffer,
    /// The last submission that filled it, if wgpu made it, and the number of submissions up to it.
    filled: Option<(Option<wgpu::SubmissionIndex>, u64)>,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.raw.destroy();
    }
}

fn of_another_device() -> Error {
    Error::Internal { detail: "results of another device".into() }
}

impl Gpu {
    /// A readback of `bytes` bytes; a multiple of 4.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn readback(&self, bytes: u64) -> Result<Readback> {
        self.staging("results", bytes)
    }

    fn staging(&self, label: &str, bytes: u64) -> Result<Readback> {
        if self.host().is_some() {
            return Ok(Readback(Inner::Host(bytes, None)));
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let raw = self.create_buffer(label, Purpose::Staging, bytes, usage)?;
        Ok(Readback(Inner::WebGpu(Mapped { raw, filled: None })))
    }

    /// Submits an encoder's commands and then copies `slice`, or zeros, to `readback`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a buffer of another device.
    pub(super) fn submit_filling(
        &self,
        mut encoder: wgpu::CommandEncoder,
        slice: Option<&Slice>,
        readback: &mut Readback,
    ) -> Result<()> {
        let Inner::WebGpu(readback) = &mut readback.0 else { return Err(of_another_device()) };
        let raw = &readback.raw;
        match slice {
            Some(slice) => encoder.copy_buffer_to_buffer(slice.buffer.raw()?, slice.offset, raw, 0, raw.size()),
            None => encoder.clear_buffer(raw, 0, None),
        }
        readback.filled = Some((Some(self.submit_encoder(encoder)?), self.0.ledger.submissions()));
        Ok(())
    }

    /// Submits a platform's lists of commands and then copies `slice` to `readback`, if given.
    ///
    /// # Errors
    /// [`Error::Internal`] for a buffer of another device.
    pub(super) fn submit_lists(
        &self,
        lists: &dyn CommandLists,
        numbers: &[u32],
        result: Option<(&Slice, &mut Readback)>,
    ) -> Result<()> {
        let Some((slice, readback)) = result else {
            self.begin_submission();
            lists.submit(numbers, None);
            return Ok(());
        };
        let Inner::WebGpu(readback) = &mut readback.0 else { return Err(of_another_device()) };
        let (source, target) = (slice.buffer.raw()?, &readback.raw);
        self.begin_submission();
        lists.submit(numbers, Some(BufferCopy { source, offset: slice.offset, target, bytes: target.size() }));
        readback.filled = Some((None, self.0.ledger.submissions()));
        Ok(())
    }

    /// Copies `slice`, or zeros, to `readback`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a buffer of another device.
    pub(super) fn fill_from_host(&self, host: &dyn Host, slice: Option<&Slice>, readback: &mut Readback) -> Result<()> {
        let Inner::Host(bytes, filled) = &mut readback.0 else { return Err(of_another_device()) };
        *filled = Some(self.read_from_host(host, slice, *bytes)?);
        Ok(())
    }

    /// Waits for the submission that filled `readback` last, but not for later ones, and returns its bytes. Reports
    /// pending device errors.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub async fn fetch(&self, readback: &mut Readback) -> Result<Vec<u8>> {
        let missing = || Error::Internal { detail: "results that nobody asked for".into() };
        let readback = match &mut readback.0 {
            Inner::WebGpu(readback) => readback,
            Inner::Host(_, filled) => {
                let bytes = filled.take().ok_or_else(missing)?;
                if let Some(host) = self.host() {
                    host.give_way().await;
                }
                self.check()?;
                self.count(|counters| counters.bytes_read += bytes.len() as u64);
                return Ok(bytes);
            }
        };
        let (index, submissions) = readback.filled.take().ok_or_else(missing)?;
        let (settling, asked) = (self.0.ledger.settling_after(submissions), lock(&self.0.pace).asked());
        let is_mapped = self.map(&readback.raw, index).await?;
        drop(settling);
        if let Some(asked) = asked {
            lock(&self.0.pace).all_finished(submissions, asked);
        }
        // Everything before the copy was reported before the copy finished.
        self.flush_errors().await?;
        if !is_mapped {
            return Err(Error::DeviceLost { reason: format!("it failed in {STAGE}") });
        }
        let fault = |e: wgpu::MapRangeError| Error::Gpu { stage: STAGE.into(), detail: e.to_string() };
        let bytes = readback.raw.get_mapped_range(..).map_err(fault)?.to_vec();
        readback.raw.unmap();
        self.count(|counters| counters.bytes_read += bytes.len() as u64);
        Ok(bytes)
    }

    /// Waits for all submitted work and reads `slice` back. Reports pending device errors.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub async fn read(&self, slice: &Slice) -> Result<Vec<u8>> {
        self.read_back(Some(slice), slice.bytes).await
    }

    /// Flushes pending writes and waits for all submitted work. Reports pending device errors.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub async fn wait_idle(&self) -> Result<()> {
        self.read_back(None, 4).await.map(drop)
    }

    async fn read_back(&self, slice: Option<&Slice>, bytes: u64) -> Result<Vec<u8>> {
        let mut readback = self.staging("read back", bytes)?;
        self.0.ledger.pass(Purpose::Staging, bytes);
        match self.host() {
            None => self.submit_filling(self.encoder("read back")?, slice, &mut readback)?,
            Some(host) => {
                self.run_jobs(&**host, &[])?;
                self.fill_from_host(&**host, slice, &mut readback)?;
            }
        }
        self.fetch(&mut readback).await
    }

    /// Reads a slice as values of `T`.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub async fn read_as<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, slice: &Slice) -> Result<Vec<T>> {
        Ok(bytemuck::pod_collect_to_vec(&self.read(slice).await?))
    }
}
