//! Recovery from device losses and lack of memory.

use super::history::History;
use crate::engine::Engine;
use crate::engine::answer::speculate::LatencyModel;
use crate::engine::control::{LOSSES, RequestContext};
use crate::engine::device::backend::Backend;
use crate::engine::events::Event;
use crate::error::{Error, Result};
use crate::gpu::DeviceClass;
use crate::model::LanguageModel;

/// Passes between waits for the GPU while a state is rebuilt.
const PASSES: usize = 8;

impl<B: Backend> Engine<B> {
    /// Runs a step, and runs it again after a recoverable error. After a device loss the device is reopened, weights are uploaded again,
    /// and the conversation's state is rebuilt pass by pass, so that every number is the same. After [`LOSSES`] losses the processor replaces
    /// a GPU that may be replaced. If memory runs out, memory used only for speed is freed. A repeated step finds the same entries.
    pub(in crate::engine) async fn with_recovery<T>(
        &mut self,
        context: &mut RequestContext<'_>,
        mut step: impl AsyncFnMut(&mut Self, &mut RequestContext<'_>) -> Result<T>,
    ) -> Result<T> {
        loop {
            let outcome = if let Err(lost) = self.backend.model() { Err(lost) } else { step(self, context).await };
            match outcome {
                Err(Error::DeviceLost { reason }) => self.recover(context, reason).await?,
                Err(Error::OutOfMemory { .. }) if !context.is_lean => {
                    context.is_lean = true;
                    match self.free_memory(context).await {
                        Err(Error::DeviceLost { reason }) => self.recover(context, reason).await?,
                        freed => freed?,
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Reopens the device and rebuilds the conversation.
    pub(in crate::engine) async fn recover(
        &mut self,
        context: &mut RequestContext<'_>,
        mut reason: String,
    ) -> Result<()> {
        let held = self.conversation.drop_state();
        self.idle.clear();
        loop {
            self.conversation.drop_state();
            self.backend.close();
            context.losses += 1;
            let opened = if context.losses < LOSSES {
                (context.on_event)(Event::Recovering { attempt: context.losses, reason: reason.clone() });
                self.backend.reopen(context).await
            } else if context.losses == LOSSES && self.backend.has_fallback() {
                self.fall_back(context, &reason).await
            } else {
                return Err(Error::DeviceLost { reason });
            };
            let outcome = if opened.is_ok() { self.rebuild(context, &held).await } else { opened };
            reason = match outcome {
                Err(Error::DeviceLost { reason }) => reason,
                // The adapter may be available again a moment later.
                Err(Error::WebgpuUnavailable { reason }) => format!("it could not be opened again: {reason}"),
                outcome => return outcome,
            };
        }
    }

    /// Replaces a GPU that was lost too often by the processor. If that fails, the error is the loss of the GPU.
    async fn fall_back(&mut self, context: &mut RequestContext<'_>, reason: &str) -> Result<()> {
        match self.backend.fall_back(context, reason).await {
            Ok(()) => self.latency = LatencyModel::new(DeviceClass::Processor),
            Err(Error::Aborted) => return Err(Error::Aborted),
            Err(error) => return Err(Error::DeviceLost { reason: format!("{reason}; {error}") }),
        }
        Ok(())
    }

    /// Frees all that can be rebuilt, including the state's spare room, and rebuilds the state.
    pub(in crate::engine) async fn free_memory(&mut self, context: &mut RequestContext<'_>) -> Result<()> {
        let held = self.conversation.drop_state();
        self.idle.clear();
        let freed = self.backend.free_memory().await;
        let rebuilt = if freed.is_ok() { self.rebuild(context, &held).await } else { freed };
        if matches!(rebuilt, Err(Error::DeviceLost { .. })) {
            self.conversation.set_lost(held);
        }
        rebuilt
    }

    /// Rebuilds a state by its former passes. After an interruption it holds the first of them.
    async fn rebuild(&mut self, context: &mut RequestContext<'_>, held: &History) -> Result<()> {
        self.conversation.rewind(0, &held.pictures);
        for (index, (pass, entries)) in held.passes().enumerate() {
            context.control.check()?;
            if entries.iter().any(|entry| entry.fingerprint().is_some()) {
                // The tower uses the decoder's work memory, which is free once the passes so far are done.
                self.backend.model()?.wait_idle().await?;
            }
            let ignore = &mut |_| ();
            let silent = &mut RequestContext::new(context.control, ignore);
            let features = self.backend.encode_images(entries, &held.pictures, silent).await?;
            self.conversation.replay(self.backend.model()?, (pass, entries), &features).await?;
            if index % PASSES == PASSES - 1 {
                self.backend.model()?.wait_idle().await?;
            }
        }
        self.backend.model()?.wait_idle().await
    }
}
