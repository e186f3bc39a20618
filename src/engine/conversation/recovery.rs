//! Recovery from lost devices and from memory that runs out.

use super::history::History;
use crate::engine::Engine;
use crate::engine::control::{LOSSES, RequestContext};
use crate::engine::device::backend::Backend;
use crate::engine::events::Event;
use crate::error::{Error, Result};
use crate::model::LanguageModel;

/// Passes between two waits for the GPU while a state is made again.
const PASSES: usize = 8;

impl<B: Backend> Engine<B> {
    /// Takes a step, and takes it again whenever what went wrong could be made good: a device that is lost is opened again, its weights
    /// are sent again, and the conversation's state is made as it was made before, pass by pass, so that every number comes out the
    /// same; where memory runs out, what is only kept for speed goes. Before a step is taken again the conversation holds what it held.
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

    /// Brings the engine to where it was, on a new device.
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
            if context.losses == LOSSES {
                return Err(Error::DeviceLost { reason });
            }
            (context.on_event)(Event::Recovering { attempt: context.losses, reason: reason.clone() });
            let opened = self.backend.reopen(context).await;
            let outcome = if opened.is_ok() { self.rebuild(context, &held).await } else { opened };
            reason = match outcome {
                Err(Error::DeviceLost { reason }) => reason,
                // The adapter may be back a moment later.
                Err(Error::WebgpuUnavailable { reason }) => format!("it could not be opened again: {reason}"),
                outcome => return outcome,
            };
        }
    }

    /// Frees what can be made again, the state's spare room among it, and makes the state again.
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

    /// Makes a state by the passes that made it before. Interrupted, it holds the first of them.
    async fn rebuild(&mut self, context: &mut RequestContext<'_>, held: &History) -> Result<()> {
        self.conversation.rewind(0, &held.pictures);
        for (index, (pass, entries)) in held.passes().enumerate() {
            context.control.check()?;
            if entries.iter().any(|entry| entry.fingerprint().is_some()) {
                // The tower takes the decoder's work memory, which is free once the passes so far are done.
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
