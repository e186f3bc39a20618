//! What a request survives. A device that is lost is opened again, its weights are sent again, and the cache is filled as it was
//! filled before: pass by pass, so that every number comes out the same. Where memory runs out, what is only kept for speed goes.

use super::Engine;
use super::events::{Cancel, Event};
use super::load::{Resident, bring_up};
use super::pictures::PromptFeatures;
use super::session::{ContextEntry, Session};
use crate::error::{Error, Result};
use crate::model::{Input, KvCache};

/// Losses of its device that end a request.
pub(super) const LOSSES: u32 = 3;
/// Passes between two waits for the GPU while the cache is filled again.
const PASSES: usize = 8;

/// A request under way: who listens, who may stop it, and what has gone wrong so far.
pub(super) struct Run<'a> {
    pub(super) cancel: &'a Cancel,
    pub(super) on_event: &'a mut dyn FnMut(Event),
    losses: u32,
    is_lean: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(cancel: &'a Cancel, on_event: &'a mut dyn FnMut(Event)) -> Self {
        Self { cancel, on_event, losses: 0, is_lean: false }
    }
}

impl Engine {
    /// Takes a step, and takes it again whenever what went wrong could be made good. Before it is taken again the cache holds what
    /// it held, and the decoder the rows of its last pass.
    pub(super) async fn surviving<T>(
        &mut self,
        run: &mut Run<'_>,
        mut step: impl AsyncFnMut(&mut Self, &mut Run<'_>) -> Result<T>,
    ) -> Result<T> {
        loop {
            let outcome = match self.resident {
                Some(_) => step(self, run).await,
                None => Err(Error::DeviceLost { reason: "it was not there".into() }),
            };
            match outcome {
                Err(Error::DeviceLost { reason }) => self.recover(run, reason).await?,
                Err(Error::OutOfMemory { .. }) if !run.is_lean => {
                    run.is_lean = true;
                    match self.free_memory(run).await {
                        Err(Error::DeviceLost { reason }) => self.recover(run, reason).await?,
                        freed => freed?,
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Brings the engine to where it was, on a new device.
    async fn recover(&mut self, run: &mut Run<'_>, mut reason: String) -> Result<()> {
        let held = std::mem::take(&mut self.session);
        loop {
            self.leave_device();
            run.losses += 1;
            if run.losses == LOSSES {
                return Err(Error::DeviceLost { reason });
            }
            (run.on_event)(Event::Recovering { attempt: run.losses, reason: reason.clone() });
            reason = match self.reopen(run, &held).await {
                Err(Error::DeviceLost { reason }) => reason,
                // The adapter may be back a moment later.
                Err(Error::WebgpuUnavailable { reason }) => format!("it could not be opened again: {reason}"),
                outcome => return outcome,
            };
        }
    }

    async fn reopen(&mut self, run: &mut Run<'_>, held: &Session) -> Result<()> {
        self.gpu = self.gpu.reopen().await?;
        let mut check = |_| run.cancel.check();
        let (resident, self_test) =
            bring_up(&self.gpu, &self.manifest, &*self.shards, &self.plan, self.clock, &mut check).await?;
        (self.resident, self.self_test) = (Some(resident), self_test);
        self.refill(run, held).await
    }

    /// Frees the feature cache, work memory and the room the cache has in advance. All of it can be made again.
    async fn free_memory(&mut self, run: &mut Run<'_>) -> Result<()> {
        let held = std::mem::take(&mut self.session);
        self.features.clear();
        let (context, precision) = (self.plan.context, self.plan.kv);
        if let Some(resident) = &mut self.resident {
            resident.model.rest();
        }
        // Not before the GPU has gone on without it is that memory free.
        let idle = self.gpu.wait_idle().await;
        if let (Ok(()), Some(resident)) = (&idle, &mut self.resident) {
            resident.cache = KvCache::new(&self.gpu, self.manifest.config.text(), context, precision)?;
        }
        let refilled = match idle {
            Ok(()) => self.refill(run, &held).await,
            Err(error) => Err(error),
        };
        if matches!(refilled, Err(Error::DeviceLost { .. })) {
            self.session = held;
        }
        refilled
    }

    /// Forgets what was on the device.
    fn leave_device(&mut self) {
        self.features.clear();
        self.session = Session::default();
        self.resident = None;
        self.filter_is_tested = false;
        self.rows_tested.clear();
        // Nothing of it works any more.
        self.gpu.lose();
    }

    /// Fills an empty cache by the passes that filled it before. Interrupted, it holds the first of them.
    async fn refill(&mut self, run: &mut Run<'_>, held: &Session) -> Result<()> {
        self.session.keep_pictures(held.pictures());
        for (index, (pass, kept)) in held.passes().enumerate() {
            run.cancel.check()?;
            match kept {
                [ContextEntry::Token(token)] if pass.is_step => {
                    self.resident_mut()?.cache.reserve(1).await?;
                    self.step_again(*token)?;
                }
                _ => {
                    if kept.iter().any(|slot| matches!(slot, ContextEntry::Picture { .. })) {
                        // The tower takes the decoder's work memory, which is free once the passes so far are done.
                        self.resident()?.model.wait_idle().await?;
                    }
                    let features = self.encode_pictures(kept, held.pictures(), run.cancel, &mut |_| ()).await?;
                    self.replay(kept, pass.rows, &features).await?;
                }
            }
            if index % PASSES == PASSES - 1 {
                self.resident()?.model.wait_idle().await?;
            }
        }
        self.resident()?.model.wait_idle().await
    }

    /// A pass of `rows` rows of which the first, `kept`, stay.
    async fn replay(&mut self, kept: &[ContextEntry], rows: usize, features: &PromptFeatures) -> Result<()> {
        let mut inputs: Vec<Input> = kept.iter().map(|slot| features.input(slot)).collect::<Result<_>>()?;
        // No row looks at those behind it: any will do.
        let padding = inputs.last().copied().unwrap_or(Input::Token(0));
        inputs.resize(rows.max(kept.len()), padding);
        let Resident { model, cache, .. } = self.resident_mut()?;
        let before = cache.len();
        model.forward(cache, &inputs, features.rows.as_ref()).await?;
        cache.truncate(before + kept.len());
        self.session.extend(kept, rows);
        Ok(())
    }
}
