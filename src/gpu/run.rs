//! Recordings to submissions, and results back.

use super::buffer::Slice;
use super::device::Gpu;
use super::ledger::Purpose;
use super::recording::{Command, Dispatch, Recording};
use crate::error::{Error, Result};

/// Parameters of a dispatch start at multiples of this.
const UNIFORM_ALIGNMENT: usize = 256;

/// Bytes between the parameters of a dispatch and those of the next.
fn params_stride(dispatch: &Dispatch) -> usize {
    dispatch.params.len().next_multiple_of(UNIFORM_ALIGNMENT)
}

/// Bytes that a run of `recording` holds until it is done: the parameters, and the queue's copy of them.
fn params_bytes(recording: &Recording) -> u64 {
    2 * recording.dispatches().map(params_stride).sum::<usize>() as u64
}

impl Gpu {
    /// Submits a recording. Returns before the GPU has run it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is none for the parameters.
    pub fn run(&self, label: &str, recording: &Recording) -> Result<()> {
        let params = self.upload_params(recording)?;
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
        let mut commands = recording.commands().iter().peekable();
        let mut slot = 0;
        while commands.peek().is_some() {
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
            while let Some(Command::Dispatch(dispatch)) = commands.next_if(|c| matches!(c, Command::Dispatch(_))) {
                self.encode(&mut pass, dispatch, params.as_ref(), slot);
                slot += params_stride(dispatch);
            }
            drop(pass);
            while let Some(Command::Copy(from, to)) = commands.next_if(|c| matches!(c, Command::Copy(..))) {
                encoder.copy_buffer_to_buffer(from.buffer.raw(), from.offset, to.buffer.raw(), to.offset, from.bytes);
            }
        }
        self.submit(encoder);
        if let Some(params) = params {
            // Freed when the submission has run, not when a garbage collector finds it.
            params.destroy();
        }
        Ok(())
    }

    /// Compiles what a recording launches.
    ///
    /// # Errors
    /// [`Error::Gpu`] for a shader the driver refuses, or as [`Gpu::check`].
    pub async fn compile(&self, recording: &Recording) -> Result<()> {
        for dispatch in recording.dispatches() {
            self.pipeline(&dispatch.kernel);
        }
        self.answers().await
    }

    /// One buffer with the parameters of every dispatch, so that a run writes once.
    fn upload_params(&self, recording: &Recording) -> Result<Option<wgpu::Buffer>> {
        let mut bytes = Vec::new();
        for dispatch in recording.dispatches() {
            let end = bytes.len() + params_stride(dispatch);
            bytes.extend_from_slice(&dispatch.params);
            bytes.resize(end, 0);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.create_buffer("params", Purpose::Staging, bytes.len() as u64, usage)?;
        self.queue_to_write().write_buffer(&buffer, 0, &bytes);
        self.ledger().pass(Purpose::Staging, params_bytes(recording));
        Ok(Some(buffer))
    }

    fn encode(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        dispatch: &Dispatch,
        params: Option<&wgpu::Buffer>,
        slot: usize,
    ) {
        let Some(params) = params else { return };
        let pipeline = self.pipeline(&dispatch.kernel);
        let binding = |buffer, offset: u64, bytes: u64| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) })
        };
        let uniform = binding(params, slot as u64, dispatch.params.len() as u64);
        let storage = dispatch.buffers.iter().map(|slice| binding(slice.buffer.raw(), slice.offset, slice.bytes));
        let entries: Vec<_> = std::iter::once(uniform)
            .chain(storage)
            .enumerate()
            .map(|(index, resource)| wgpu::BindGroupEntry { binding: index as u32, resource })
            .collect();
        let group = self.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&dispatch.kernel.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        pass.set_pipeline(&pipeline.raw);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = dispatch.grid;
        pass.dispatch_workgroups(x, y, z);
    }

    /// Waits for all work submitted so far and reads `slice` back. The device's complaints surface here.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub async fn read(&self, slice: &Slice) -> Result<Vec<u8>> {
        self.read_back(slice.bytes, |encoder, staging| {
            encoder.copy_buffer_to_buffer(slice.buffer.raw(), slice.offset, staging, 0, slice.bytes);
        })
        .await
    }

    /// Carries out what was written so far and waits for all work submitted. The device's complaints surface here.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub async fn settle(&self) -> Result<()> {
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
        self.submit(encoder);
        let settling = self.ledger().settling();
        let mapped = self.map(staging).await?;
        drop(settling);
        // What has been asked before was answered before the bytes came.
        self.answers().await?;
        let stage = "reading results back";
        if !mapped {
            return Err(Error::DeviceLost { reason: format!("it failed in {stage}") });
        }
        let fault = |detail: String| Error::Gpu { stage: stage.into(), detail };
        let view = staging.get_mapped_range(..).map_err(|e| fault(e.to_string()))?;
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
