//! Results back from the device.

use super::buffer::Slice;
use super::counters::count;
use super::device::Gpu;
use super::ledger::Purpose;
use crate::error::{Error, Result};

/// What is being done when a read fails.
const STAGE: &str = "reading results back";

/// A place for results that is made once and filled again and again.
#[derive(Debug)]
pub struct Readback {
    raw: wgpu::Buffer,
    /// The submission that filled it last, and how many there had been with it.
    filled: Option<(wgpu::SubmissionIndex, u64)>,
}

impl Readback {
    pub(super) fn fill(&self, encoder: &mut wgpu::CommandEncoder, slice: &Slice) -> Result<()> {
        encoder.copy_buffer_to_buffer(slice.buffer.raw()?, slice.offset, &self.raw, 0, self.raw.size());
        Ok(())
    }

    pub(super) fn submitted(&mut self, index: wgpu::SubmissionIndex, submissions: u64) {
        self.filled = Some((index, submissions));
    }
}

impl Drop for Readback {
    fn drop(&mut self) {
        self.raw.destroy();
    }
}

impl Gpu {
    /// A place for `bytes` of results; a multiple of 4.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn readback(&self, bytes: u64) -> Result<Readback> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let raw = self.create_buffer("results", Purpose::Staging, bytes, usage)?;
        Ok(Readback { raw, filled: None })
    }

    /// Waits for the submission that filled `readback` last, but for none behind it, and takes what it brought. The device's
    /// complaints surface here.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn fetch(&self, readback: &mut Readback) -> Result<Vec<u8>> {
        let Some((index, submissions)) = readback.filled.take() else {
            return Err(Error::Internal { detail: "results that nobody asked for".into() });
        };
        let settling = self.ledger().settling_after(submissions);
        let mapped = self.map(&readback.raw, Some(index)).await?;
        drop(settling);
        let bytes = self.mapped(&readback.raw, mapped).await?;
        readback.raw.unmap();
        Ok(bytes)
    }

    /// Waits for all work submitted so far and reads `slice` back. The device's complaints surface here.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub async fn read(&self, slice: &Slice) -> Result<Vec<u8>> {
        let raw = slice.buffer.raw()?;
        self.read_back(slice.bytes, |encoder, staging| {
            encoder.copy_buffer_to_buffer(raw, slice.offset, staging, 0, slice.bytes);
        })
        .await
    }

    /// Carries out what was written so far and waits for all work submitted. The device's complaints surface here.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn wait_idle(&self) -> Result<()> {
        self.read_back(4, |encoder, staging| encoder.clear_buffer(staging, 0, None)).await.map(drop)
    }

    async fn read_back(
        &self,
        bytes: u64,
        fill: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Buffer),
    ) -> Result<Vec<u8>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.create_buffer("read back", Purpose::Staging, bytes, usage)?;
        self.ledger().pass(Purpose::Staging, bytes);
        let result = self.read_through(&staging, fill).await;
        staging.destroy();
        result
    }

    async fn read_through(
        &self,
        staging: &wgpu::Buffer,
        fill: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Buffer),
    ) -> Result<Vec<u8>> {
        let mut encoder =
            self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read back") });
        fill(&mut encoder, staging);
        self.submit_encoder(encoder);
        let settling = self.ledger().settling();
        let mapped = self.map(staging, None).await?;
        drop(settling);
        self.mapped(staging, mapped).await
    }

    /// The bytes of a buffer that is mapped, if it is.
    async fn mapped(&self, staging: &wgpu::Buffer, mapped: bool) -> Result<Vec<u8>> {
        // What has been asked before was answered before the bytes came.
        self.flush_errors().await?;
        if !mapped {
            return Err(Error::DeviceLost { reason: format!("it failed in {STAGE}") });
        }
        let fault = |detail: String| Error::Gpu { stage: STAGE.into(), detail };
        let view = staging.get_mapped_range(..).map_err(|e| fault(e.to_string()))?;
        count(&self.tally().bytes_read, staging.size());
        Ok(view.to_vec())
    }

    /// Reads a whole number of values back.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn read_as<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, slice: &Slice) -> Result<Vec<T>> {
        Ok(bytemuck::pod_collect_to_vec(&self.read(slice).await?))
    }
}
