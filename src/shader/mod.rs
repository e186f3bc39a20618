//! WGSL files to whole shaders: a kernel's file, the files that it uses, its constants. `syntax.rs` tells what a file may say.

mod render;
#[allow(unreachable_pub, reason = "build.rs compiles it as well")]
mod syntax;

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

/// A kernel's file with its constants and choices. Comparing two touches no WGSL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shader {
    file: &'static str,
    numbers: Vec<(&'static str, usize)>,
    files: Vec<(&'static str, &'static str)>,
}

impl Shader {
    /// The file of that name, without constants.
    pub fn new(file: &'static str) -> Self {
        Self { file, numbers: Vec::new(), files: Vec::new() }
    }

    /// With the number of a constant.
    #[must_use]
    pub fn set(self, name: &'static str, number: usize) -> Self {
        self.set_all([(name, number)])
    }

    /// With the numbers of several constants.
    #[must_use]
    pub fn set_all<const N: usize>(mut self, numbers: [(&'static str, usize); N]) -> Self {
        self.numbers.extend(numbers);
        self
    }

    /// With the file that `//: use $NAME` stands for.
    #[must_use]
    pub fn choose(mut self, name: &'static str, file: &'static str) -> Self {
        self.files.push((name, file));
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
}
