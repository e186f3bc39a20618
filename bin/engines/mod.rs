//! The engines of a server, each on a thread of its own: queues from the connections to schedulers, places for loaded models, and signs of
//! life.

mod flow;
mod jobs;
mod monitor;
mod panics;
mod queue;
mod residents;

pub(crate) use flow::{Answer, Reader};
pub(crate) use jobs::{Jobs, Prepared};
pub(crate) use monitor::{Health, Monitor, OpenRequests, Pulse};
pub(crate) use queue::{Loading, Queue, queue};
pub(crate) use residents::{Occupant, Residents};

#[cfg(test)]
mod tests;
