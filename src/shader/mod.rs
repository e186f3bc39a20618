//! WGSL files to whole shaders: a kernel's file, the files that it uses, its constants. [`syntax`] tells what a file may say.

mod render;
pub mod syntax;

pub(crate) use render::binding;

use crate::error::Result;

/// A WGSL file of this crate.
#[derive(Debug)]
pub struct File {
    /// Without folder and ending.
    pub name: &'static str,
    /// Below the crate's root.
    pub path: &'static str,
    /// What it holds.
    pub text: &'static str,
}

/// Every file in `shaders/`, by name.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// What a kernel gives for a name in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// Of a constant.
    Number(usize),
    /// The name of a file, for a choice.
    File(&'static str),
}

/// A kernel's file with its constants and choices. Comparing two touches no WGSL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shader {
    file: &'static str,
    values: Vec<(&'static str, Value)>,
}

impl Shader {
    /// The file of that name, without constants.
    pub fn new(file: &'static str) -> Self {
        Self { file, values: Vec::new() }
    }

    /// With the value of a constant.
    #[must_use]
    pub fn set(mut self, name: &'static str, number: usize) -> Self {
        self.values.push((name, Value::Number(number)));
        self
    }

    /// With the values of several constants.
    #[must_use]
    pub fn set_all<const N: usize>(mut self, numbers: [(&'static str, usize); N]) -> Self {
        self.values.extend(numbers.map(|(name, number)| (name, Value::Number(number))));
        self
    }

    /// With the file that `//: use $NAME` stands for.
    #[must_use]
    pub fn choose(mut self, name: &'static str, file: &'static str) -> Self {
        self.values.push((name, Value::File(file)));
        self
    }

    /// Name of the kernel's file.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The whole shader, but for its directives: the kernel's file, then those it uses.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] with file and line: a constant without a value, a value nothing declares, a file that does not exist.
    pub fn source(&self) -> Result<String> {
        render::source(self)
    }

    /// The files that it is made of.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn files(&self) -> Result<Vec<&'static str>> {
        render::files(self)
    }
}

fn file(name: &str) -> Option<&'static File> {
    FILES.binary_search_by_key(&name, |file| file.name).ok().and_then(|at| FILES.get(at))
}
