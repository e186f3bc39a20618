//! Submitting recordings, once or prepared for repeated use.

use std::sync::{Arc, Weak};

use super::buffer::{Buffer, Owned, Slice};
use super::command_lists::{CommandList, CommandLists};
use super::device::Gpu;
use super::host::Host;
use super::host::job::HostJob;
use super::kernel::Pipeline;
use super::ledger::Purpose;
use super::read::Readback;
use super::recording::{Command, Dispatch, Recording};
use crate::error::Result;

/// Alignment of the parameters of a dispatch.
const UNIFORM_ALIGNMENT: usize = 256;

/// Bytes from the parameters of a dispatch to those of the next.
fn params_stride(dispatch: &Dispatch) -> usize {
    dispatch.params.len().next_multiple_of(UNIFORM_ALIGNMENT)
}

impl Recording {
    /// Bytes of the parameters of all dispatches.
    pub fn params_bytes(&self) -> u64 {
        self.dispatches().map(params_stride).sum::<usize>() as u64
    }
}

/// The parameters of all dispatches, concatenated.
fn params_of(recording: &Recording) -> Vec<u8> {
    let mut bytes = Vec::new();
    for dispatch in recording.dispatches() {
        let end = bytes.len() + params_stride(dispatch);
        bytes.extend_from_slice(&dispatch.params);
        bytes.resize(end, 0);
    }
    bytes
}

/// A command with its device objects.
#[derive(Debug)]
enum Step {
    Dispatch { pipeline: Arc<Pipeline>, group: wgpu::BindGroup, grid: [u32; 3] },
    Copy(Slice, Slice),
}

/// A recording with its parameters and bind groups on the device. Submitting it allocates and writes nothing.
#[derive(Debug)]
pub struct Prepared {
    label: &'static str,
    work: PreparedWork,
    flops: u64,
    /// Buffers bound by the bind groups. Weak references, so that freeing one invalidates the recording without
    /// knowing of it.
    named: Vec<Weak<Owned>>,
}

#[derive(Debug)]
enum PreparedWork {
    WebGpu { steps: Vec<Step>, list: Option<CommandList>, _params: Buffer },
    Host(HostJob),
}

impl Prepared {
    /// See [`Recording::flops`].
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// Returns true if all its buffers still exist.
    pub fn is_current(&self) -> bool {
        self.named.iter().all(|named| named.strong_count() > 0)
    }

    /// Returns true if it binds `buffer`.
    pub fn binds(&self, buffer: &Buffer) -> bool {
        self.named.iter().any(|named| named.as_ptr() == Arc::as_ptr(&buffer.0))
    }
}

impl Gpu {
    /// Submits a recording. Returns before the GPU has run it.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] if there is no memory for the parameters.
    pub fn run(&self, label: &str, recording: &Recording) -> Result<()> {
        match self.host() {
            None => self.submit_recording(label, recording).map(drop),
            Some(host) => self.run_jobs(&**host, &[(label, &HostJob::of(recording)?)]),
        }
    }

    /// Like [`Self::run`]; returns the index of the submission.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub(super) fn submit_recording(&self, label: &str, recording: &Recording) -> Result<wgpu::SubmissionIndex> {
        let bytes = params_of(recording);
        let params = if bytes.is_empty() { None } else { Some(self.pass_params(&bytes)?) };
        let steps = self.steps(recording, params.as_ref())?;
        let mut encoder = self.encoder(label)?;
        self.encode(&mut encoder, label, &steps)?;
        self.count_launches(&steps);
        let index = self.submit_encoder(encoder)?;
        if let Some(params) = params {
            // Freed when the submission has run, not by a garbage collector.
            params.destroy();
        }
        Ok(index)
    }

    /// Creates the device objects of a recording for repeated submission.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] if there is no memory for the parameters.
    pub fn prepare(&self, label: &'static str, recording: &Recording) -> Result<Prepared> {
        let named = recording.dispatches().flat_map(|dispatch| &dispatch.buffers);
        let (named, flops) = (named.map(|slice| Arc::downgrade(&slice.buffer.0)).collect(), recording.flops());
        if self.host().is_some() {
            return Ok(Prepared { label, work: PreparedWork::Host(HostJob::of(recording)?), flops, named });
        }
        let bytes = params_of(recording);
        let params = self.alloc_uniform(label, bytes.len() as u64)?;
        self.write(&params, 0, &bytes)?;
        let steps = self.steps(recording, Some(params.raw()?))?;
        let list = self.command_lists().map(|lists| self.listed(lists, label, &steps)).transpose()?;
        Ok(Prepared { label, work: PreparedWork::WebGpu { steps, list, _params: params }, flops, named })
    }

    /// The platform's lists of commands. Injected faults need the commands themselves.
    fn command_lists(&self) -> Option<&'static dyn CommandLists> {
        self.0.options.command_lists.filter(|_| self.0.options.faults.is_none())
    }

    /// A list of the platform with these commands.
    fn listed(&self, lists: &'static dyn CommandLists, label: &str, steps: &[Step]) -> Result<CommandList> {
        lists.record();
        let encoded = self.encoder(label).and_then(|mut encoder| {
            self.encode(&mut encoder, label, steps)?;
            encoder.finish();
            Ok(())
        });
        let list = CommandList::of(lists);
        encoded.map(|()| list)
    }

    /// Submits prepared recordings in one submission, followed by a copy of a slice to a readback. Returns before
    /// the GPU has run them.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] for buffers of a dry device.
    pub fn submit(&self, prepared: &[&Prepared], result: Option<(&Slice, &mut Readback)>) -> Result<()> {
        if let Some(host) = self.host() {
            self.run_on_host(&**host, prepared)?;
            return result.map_or(Ok(()), |(slice, readback)| self.fill_from_host(&**host, Some(slice), readback));
        }
        if let Some(lists) = self.command_lists() {
            let numbers: Vec<u32> = prepared.iter().filter_map(|part| self.counted_list(part)).collect();
            return self.submit_lists(lists, &numbers, result);
        }
        let encoder = self.encoder_of(prepared)?;
        match result {
            Some((slice, readback)) => self.submit_filling(encoder, Some(slice), readback),
            None => self.submit_encoder(encoder).map(drop),
        }
    }

    /// The platform's list of a prepared recording, whose launches are counted.
    fn counted_list(&self, prepared: &Prepared) -> Option<u32> {
        let PreparedWork::WebGpu { steps, list: Some(list), .. } = &prepared.work else { return None };
        self.count_launches(steps);
        Some(list.number())
    }

    /// Runs prepared recordings on a processor.
    ///
    /// # Errors
    /// See [`Self::submit`].
    fn run_on_host(&self, host: &dyn Host, prepared: &[&Prepared]) -> Result<()> {
        let jobs = prepared.iter().filter_map(|part| match &part.work {
            PreparedWork::Host(job) => Some((part.label, job)),
            PreparedWork::WebGpu { .. } => None,
        });
        self.run_jobs(host, &jobs.collect::<Vec<_>>())
    }

    /// An encoder with the commands of prepared recordings.
    fn encoder_of(&self, prepared: &[&Prepared]) -> Result<wgpu::CommandEncoder> {
        let mut encoder = self.encoder(prepared.first().map_or("replay", |first| first.label))?;
        for part in prepared {
            if let PreparedWork::WebGpu { steps, .. } = &part.work {
                self.encode(&mut encoder, part.label, steps)?;
                self.count_launches(steps);
            }
        }
        Ok(encoder)
    }

    pub(super) fn encoder(&self, label: &str) -> Result<wgpu::CommandEncoder> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some(label) };
        Ok(self.webgpu()?.device.create_command_encoder(&descriptor))
    }

    /// One buffer with the parameters of all dispatches of a run, so that it is one write.
    fn pass_params(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.create_buffer("params", Purpose::Staging, bytes.len() as u64, usage)?;
        self.queue_to_write()?.write_buffer(&buffer, 0, bytes);
        // The parameters, and the queue's copy of them.
        self.0.ledger.pass(Purpose::Staging, 2 * bytes.len() as u64);
        Ok(buffer)
    }

    fn steps(&self, recording: &Recording, params: Option<&wgpu::Buffer>) -> Result<Vec<Step>> {
        let mut offset = 0;
        let mut steps = Vec::with_capacity(recording.commands().len());
        for command in recording.commands() {
            match (command, params) {
                (Command::Copy(from, to), _) => steps.push(Step::Copy(from.clone(), to.clone())),
                (Command::Dispatch(dispatch, _), Some(params)) => {
                    let pipeline = self.pipeline(&dispatch.kernel)?;
                    let group = self.bind_group(dispatch, &pipeline, params, offset)?;
                    offset += params_stride(dispatch) as u64;
                    steps.push(Step::Dispatch { pipeline, group, grid: dispatch.grid });
                }
                // Every dispatch has parameters.
                (Command::Dispatch(..), None) => {}
            }
        }
        Ok(steps)
    }

    fn bind_group(
        &self,
        dispatch: &Dispatch,
        pipeline: &Pipeline,
        params: &wgpu::Buffer,
        offset: u64,
    ) -> Result<wgpu::BindGroup> {
        let binding = |buffer, offset: u64, bytes: u64| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) })
        };
        let uniform = binding(params, offset, dispatch.params.len() as u64);
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniform }];
        for (index, slice) in (1..).zip(&dispatch.buffers) {
            let resource = binding(slice.buffer.raw()?, slice.offset, slice.bytes);
            entries.push(wgpu::BindGroupEntry { binding: index, resource });
        }
        self.count(|counters| counters.bind_groups += 1);
        Ok(self.webgpu()?.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.kernel.name()),
            layout: &pipeline.layout,
            entries: &entries,
        }))
    }

    fn count_launches(&self, steps: &[Step]) {
        let launches = steps.iter().filter(|step| matches!(step, Step::Dispatch { .. })).count();
        self.count(|counters| counters.dispatches += launches as u64);
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder, label: &str, steps: &[Step]) -> Result<()> {
        let leaves_out = self.0.options.faults.as_ref().is_some_and(|faults| faults.leave_out_launches());
        let mut steps = steps.iter().filter(|step| !leaves_out || matches!(step, Step::Copy(..))).peekable();
        while let Some(first) = steps.peek() {
            if let Step::Copy(from, to) = first {
                let (source, target) = (from.buffer.raw()?, to.buffer.raw()?);
                encoder.copy_buffer_to_buffer(source, from.offset, target, to.offset, from.bytes);
                steps.next();
                continue;
            }
            let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            while let Some(Step::Dispatch { pipeline, group, grid: [x, y, z] }) =
                steps.next_if(|step| matches!(step, Step::Dispatch { .. }))
            {
                pass.set_pipeline(&pipeline.raw);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
        }
        Ok(())
    }
}
