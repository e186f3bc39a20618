//! Files in memory, in place of a directory's.
#![allow(dead_code, reason = "every test file is its own crate and uses a part of this")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ocelli::package::source::{ByteSource, FileSet};
use ocelli::{Error, Result};

/// Bytes in memory.
#[derive(Debug, Clone)]
pub(crate) struct MemorySource {
    name: String,
    bytes: Arc<[u8]>,
}

impl MemorySource {
    /// `bytes` under `name`.
    pub(crate) fn new(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn len(&self) -> Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let bytes = self.bytes.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec);
        bytes.ok_or_else(|| Error::Io { path: self.name.clone(), reason: format!("it has no bytes {range:?}") })
    }
}

/// Files by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryFiles(pub(crate) BTreeMap<String, Arc<[u8]>>);

impl FileSet for MemoryFiles {
    type Source = MemorySource;

    async fn open(&self, name: &str) -> Result<Option<MemorySource>> {
        Ok(self.0.get(name).map(|bytes| MemorySource::new(name, bytes.clone())))
    }
}
