//! Command lists that a platform keeps. In a browser each command of an encoder is a call from wasm into JavaScript; a list is submitted with one.

use std::fmt::Debug;

/// A copy to the beginning of a buffer.
#[derive(Debug)]
pub struct BufferCopy<'a> {
    /// The buffer that is read.
    pub source: &'a wgpu::Buffer,
    /// First byte that is read.
    pub offset: u64,
    /// The buffer that is written.
    pub target: &'a wgpu::Buffer,
    /// Bytes.
    pub bytes: u64,
}

/// Lists of commands. A new list is for the device that was opened last.
pub trait CommandLists: Debug + Sync {
    /// Makes the next encoder of the device remember its commands, without encoding them.
    fn record(&self);

    /// Returns the number of a new list with the commands of the encoder since [`Self::record`].
    fn recorded(&self) -> u32;

    /// Submits lists in one submission, followed by a copy.
    fn submit(&self, lists: &[u32], copy: Option<BufferCopy<'_>>);

    /// Drops a list.
    fn forget(&self, list: u32);
}

/// A list, dropped with this value.
#[derive(Debug)]
pub(super) struct CommandList {
    lists: &'static dyn CommandLists,
    number: u32,
}

impl CommandList {
    /// The commands of the encoder that was made since `lists` began to record.
    pub(super) fn of(lists: &'static dyn CommandLists) -> Self {
        Self { lists, number: lists.recorded() }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for CommandList {
    fn drop(&mut self) {
        self.lists.forget(self.number);
    }
}
