//! A model in one file or split over several.

use std::collections::{BTreeMap, HashSet};

use super::file::{GgufFile, TensorInfo, TensorRef};
use super::metadata::Metadata;
use crate::error::{Error, Result};
use crate::weights::checkpoint::Fingerprint;
use crate::weights::source::{ByteSource, FileSet};

/// The metadata and tensors of a model.
#[derive(Debug)]
pub struct GgufModel<S> {
    files: Vec<GgufFile<S>>,
    place: BTreeMap<String, usize>,
}

impl<S: ByteSource> GgufModel<S> {
    /// Opens `name`, and the files after it if it is the first of several, `..-00001-of-0000N.gguf`.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] or [`Error::Io`].
    pub async fn open<F: FileSet<Source = S>>(files: &F, name: &str) -> Result<Self> {
        let first = open_file(files, name).await?;
        let count = first.metadata.size("split.count")?.unwrap_or(0);
        if first.metadata.size("split.no")?.unwrap_or(0) != 0 {
            return Err(first.metadata.refuse("is not the first part of a split file"));
        }
        let promised = first.metadata.size("split.tensors.count")?.filter(|_| count > 1);
        let mut opened = vec![first];
        let ending = format!("-00001-of-{count:05}.gguf");
        for part in 1..count {
            let Some(stem) = name.strip_suffix(&ending) else {
                return Err(Error::checkpoint(
                    name,
                    "",
                    format!("is one of {count} parts, its name should end in {ending}"),
                ));
            };
            let file = open_file(files, &format!("{stem}-{:05}-of-{count:05}.gguf", part + 1)).await?;
            if file.metadata.size("split.no")? != Some(part) || file.metadata.size("split.count")? != Some(count) {
                return Err(file.metadata.refuse(format!("is not part {} of {count}", part + 1)));
            }
            opened.push(file);
        }
        let mut place = BTreeMap::new();
        for (index, file) in opened.iter().enumerate() {
            for tensor in file.tensors.keys() {
                if place.insert(tensor.clone(), index).is_some() {
                    return Err(Error::checkpoint(&file.metadata.file, tensor, "is in another part as well"));
                }
            }
        }
        if let Some(promised) = promised.filter(|&promised| promised != place.len()) {
            return Err(opened[0].metadata.refuse(format!("promises {promised} tensors, {} are there", place.len())));
        }
        Ok(Self { files: opened, place })
    }

    /// The metadata, which the first file holds.
    pub fn metadata(&self) -> &Metadata {
        &self.files[0].metadata
    }

    /// What and where every tensor is, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.place.iter().map(|(name, &file)| (name.as_str(), &self.files[file].tensors[name]))
    }

    /// The tensor of that name.
    pub(super) fn tensor(&self, name: &str) -> Option<TensorRef<'_, S>> {
        let (_, &index) = self.place.get_key_value(name)?;
        let file = &self.files[index];
        let (name, info) = file.tensors.get_key_value(name)?;
        Some(TensorRef { name, info, source: &file.source, file: index })
    }

    /// Adds all that the files say about their tensors.
    pub(super) fn add_to(&self, fingerprint: &mut Fingerprint) {
        for file in &self.files {
            fingerprint.add((&file.metadata.file, &file.tensors));
        }
    }

    /// The first tensor that is not among `known` and not to be `ignored`.
    pub(super) fn unknown(&self, known: &HashSet<&str>, ignored: impl Fn(&str) -> bool) -> Option<&str> {
        self.place.keys().map(String::as_str).find(|name| !known.contains(name) && !ignored(name))
    }
}

async fn open_file<F: FileSet>(files: &F, name: &str) -> Result<GgufFile<F::Source>> {
    match files.open(name).await? {
        Some(source) => GgufFile::open(source).await,
        None => Err(Error::checkpoint(name, "", "there is no such file")),
    }
}
