//! A model in one file or split over several.

use std::collections::BTreeMap;

use super::file;
use crate::checkpoint::gguf::metadata::Metadata;
use crate::error::{Error, Result};
use crate::import::tensors::TensorFiles;
use crate::package::source::{ByteSource, FileSet};

/// The metadata and tensors of a model.
#[derive(Debug)]
pub struct GgufModel<S> {
    /// The metadata, which the first file holds.
    pub metadata: Metadata,
    /// The tensors of all files.
    pub tensors: TensorFiles<S>,
}

impl<S: ByteSource> GgufModel<S> {
    /// Opens `name`, and the files after it if it is the first of several, `..-00001-of-0000N.gguf`.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] or [`Error::Io`].
    pub async fn open<F: FileSet<Source = S>>(files: &F, name: &str) -> Result<Self> {
        let (metadata, first) = file::open(files, name).await?;
        let count: usize = metadata.get("split.count")?.unwrap_or(0);
        if metadata.get("split.no")?.is_some_and(|part: usize| part != 0) {
            return Err(metadata.refuse("is not the first part of a split file"));
        }
        let mut opened = vec![first];
        let ending = format!("-00001-of-{count:05}.gguf");
        for part in 1..count {
            let Some(stem) = name.strip_suffix(&ending) else {
                let reason = format!("is one of {count} parts, its name should end in {ending}");
                return Err(Error::checkpoint(name, "", reason));
            };
            let (other, file) = file::open(files, &format!("{stem}-{:05}-of-{count:05}.gguf", part + 1)).await?;
            if (other.get("split.no")?, other.get("split.count")?) != (Some(part), Some(count)) {
                return Err(other.refuse(format!("is not part {} of {count}", part + 1)));
            }
            opened.push(file);
        }
        let mut place = BTreeMap::new();
        for (index, file) in opened.iter().enumerate() {
            for tensor in file.tensors.keys() {
                if place.insert(tensor.clone(), index).is_some() {
                    return Err(Error::checkpoint(file.source.name(), tensor, "is in another part as well"));
                }
            }
        }
        let promised: Option<usize> = metadata.get("split.tensors.count")?.filter(|_| count > 1);
        if let Some(promised) = promised.filter(|&promised| promised != place.len()) {
            return Err(metadata.refuse(format!("promises {promised} tensors, {} are there", place.len())));
        }
        Ok(Self { metadata, tensors: TensorFiles { files: opened, place } })
    }
}
