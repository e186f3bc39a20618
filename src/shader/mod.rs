//! Assembly of shaders: a kernel's WGSL file, the files that it uses, and its constants. `syntax.rs` describes the directives in these
//! files.

mod render;
#[allow(unreachable_pub, reason = "build.rs compiles it as well")]
mod syntax;

use crate::error::Result;

/// A WGSL file of this crate.
#[derive(Debug)]
pub struct File {
    /// File name without folder and extension.
    pub name: &'static str,
    /// Path from the crate's root.
    pub path: &'static str,
    /// Content.
    pub text: &'static str,
}

/// Every file in `shaders/`, by name.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// A kernel's file with its constants and choices. Comparing two of them reads no WGSL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shader {
    file: &'static str,
    numbers: Vec<(&'static str, usize)>,
    files: Vec<(&'static str, &'static str)>,
}

impl Shader {
    /// A shader of `file`, without constants.
    pub fn new(file: &'static str) -> Self {
        Self { file, numbers: Vec::new(), files: Vec::new() }
    }

    /// Sets a constant.
    #[must_use]
    pub fn set(self, name: &'static str, number: usize) -> Self {
        self.set_all([(name, number)])
    }

    /// Sets several constants.
    #[must_use]
    pub fn set_all<const N: usize>(mut self, numbers: [(&'static str, usize); N]) -> Self {
        self.numbers.extend(numbers);
        self
    }

    /// Sets the file for the directive `//: use $NAME`.
    #[must_use]
    pub fn choose(mut self, name: &'static str, file: &'static str) -> Self {
        self.files.push((name, file));
        self
    }

    /// Name of the kernel's file.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The text of the shader without directives: the kernel's file, then the files that it uses.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] with file and line: a constant without a value, a value that no file declares, a file that does not
    /// exist.
    pub fn source(&self) -> Result<String> {
        render::source(self)
    }
}
