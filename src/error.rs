//! Every failure a caller can see, as data.
//!
//! Each variant carries what a program needs to react and has a stable [`Error::code`] that JavaScript receives unchanged.

use std::fmt;

use ocelli_pictures::PictureError;

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with the data that explains it. Serializes as that data alone: the code and the text travel beside it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, strum::IntoStaticStr)]
#[serde(untagged)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Error {
    /// No WebGPU (or Vulkan, Metal, DX12) adapter answered. Offer another browser or machine.
    #[error("no usable GPU adapter: {reason}")]
    WebgpuUnavailable {
        /// What the platform said.
        reason: String,
    },
    /// The device cannot hold what the model needs in one binding, buffer or workgroup.
    #[error("the device's {limit} is {available}, {what} needs {needed}")]
    LimitsTooSmall {
        /// Name of the limit, as WebGPU spells it.
        limit: &'static str,
        /// What asked for it.
        what: String,
        /// The amount asked for.
        needed: u64,
        /// The amount the device offers.
        available: u64,
    },
    /// The device went away, and again each time it was opened anew. The next request tries once more.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// GPU memory ran out.
    #[error("the GPU is out of memory: {}{detail}", unless_empty(.what, format!("{what} needs {bytes} bytes, {in_use} are in use: ")))]
    OutOfMemory {
        /// The buffer there was no memory for; empty where the driver does not tell.
        what: String,
        /// What it is for, as in the ledger.
        purpose: String,
        /// Its length in bytes.
        bytes: u64,
        /// Bytes that all buffers together held.
        in_use: u64,
        /// What the driver said.
        detail: String,
    },
    /// The memory that the caller allows cannot hold what is asked for, in the most frugal way there is. Nothing was allocated.
    #[error("{what}: {needed} bytes of GPU memory are needed, {budget} are allowed{}", breakdown(.parts))]
    BudgetTooSmall {
        /// What was asked for.
        what: String,
        /// Bytes allowed.
        budget: u64,
        /// Bytes needed at least.
        needed: u64,
        /// What they are needed for.
        parts: Vec<(String, u64)>,
    },
    /// A budget of tokens or time does not allow what is asked for. Nothing was computed.
    #[cfg(feature = "cli")]
    #[error("{}", exceeded(.scope, .unit, (.limit, .spent), *.asked, .renews_at.as_deref()))]
    BudgetExceeded {
        /// Whose budget: `request`, `key` or `batch`.
        scope: &'static str,
        /// Of what: `tokens` or `seconds`.
        unit: &'static str,
        /// How much is allowed.
        limit: serde_json::Number,
        /// How much is spent.
        spent: serde_json::Number,
        /// Tokens that are needed at least: those of the prompt and one of an answer. Of seconds nobody knows.
        asked: Option<u64>,
        /// When it starts anew, such as `2026-11-24T00:00:00Z`; those of requests and batches never do.
        renews_at: Option<String>,
        /// Seconds until then.
        retry_after: Option<u64>,
    },
    /// The driver refused something that should be valid: a fault of this crate or of the driver.
    #[error("GPU error in {stage}: {detail}")]
    Gpu {
        /// What was being done.
        stage: String,
        /// What the driver said.
        detail: String,
    },
    /// A kernel gives wrong numbers on this device, so whatever a model said would be wrong as well. A driver's fault: update it, or
    /// use another browser or device.
    #[error("{kernel} computes wrongly on this device: {detail}")]
    SelfTestFailed {
        /// The kernel and its layout, such as `matmul<q4_0>`.
        kernel: String,
        /// How it is computed; `baseline` needs no optional feature.
        tier: String,
        /// The worst number, and what it should have been.
        detail: String,
    },
    /// A package (`model.json`, shards, `tokenizer.json`) does not hold together.
    #[error("{file}: {reason}")]
    InvalidPackage {
        /// The offending file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint to import is damaged or incomplete.
    #[error("{file}: {}{reason}", unless_empty(.tensor, format!("tensor {tensor}: ")))]
    InvalidCheckpoint {
        /// The offending file.
        file: String,
        /// The offending tensor; empty when the fault is in no tensor.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint is of a family this crate does not run.
    #[error("{file}: unsupported architecture {architecture:?}{}", unless_empty(.reason, format!(" ({reason})")))]
    UnsupportedArchitecture {
        /// The file that names it.
        file: String,
        /// The architecture, as the file spells it.
        architecture: String,
        /// The part that is not supported; may be empty.
        reason: String,
    },
    /// A shard's bytes do not have the hash the manifest promises.
    #[error("{file}: SHA-256 is {actual}, the manifest says {expected}")]
    Integrity {
        /// The offending shard.
        file: String,
        /// The hash in the manifest, hexadecimal.
        expected: String,
        /// The hash of the bytes at hand, hexadecimal.
        actual: String,
    },
    /// The tokenizer file cannot be used.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not a picture that can be read.
    #[error("not a readable picture: {reason}")]
    InvalidImage {
        /// What the decoder said.
        reason: String,
    },
    /// The picture has more pixels than the decoder is allowed to hold.
    #[error("the picture is {width} x {height}, more than the limit of {limit_megapixels} megapixels")]
    ImageTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in millions of pixels.
        limit_megapixels: u32,
    },
    /// A request is malformed: which field, and why.
    #[error("{field}: {reason}")]
    InvalidRequest {
        /// Path of the field in the request, such as `messages[1].content`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A request names a field this crate does not know or does not support.
    #[error("{field}: {reason}")]
    UnsupportedOption {
        /// Path of the field in the request.
        field: String,
        /// Why it is refused.
        reason: String,
    },
    /// The JSON schema of an answer asks for what cannot be enforced while it is written. Nothing was generated.
    #[error("{}{keyword}: {reason}", unless_empty(.pointer, format!("{pointer}: ")))]
    UnsupportedSchema {
        /// JSON pointer to the schema that says so; empty for the whole.
        pointer: String,
        /// The keyword; empty where it is no single one.
        keyword: String,
        /// Why it is refused.
        reason: String,
    },
    /// The regular expression or grammar of an answer is malformed, or takes more time or memory than allowed.
    #[error("{reason}")]
    InvalidGrammar {
        /// What is wrong with it.
        reason: String,
    },
    /// The prompt and the answer asked for do not fit the context.
    #[error("{tokens} tokens do not fit the context of {context}")]
    ContextOverflow {
        /// Tokens in the prompt.
        tokens: usize,
        /// Tokens the context holds.
        context: usize,
    },
    /// A request names another model than the one that is loaded.
    #[error("the model {model:?} does not exist: {known:?} does")]
    ModelNotFound {
        /// The name in the request.
        model: String,
        /// The name of the model that is loaded.
        known: String,
    },
    /// Nothing answers at this address.
    #[error("unknown request URL: {method} {path}")]
    UnknownUrl {
        /// The method of the request.
        method: String,
        /// The path of its URL.
        path: String,
    },
    /// The address is answered by another method.
    #[error("not allowed to {method} on {path}, only to {allowed}")]
    WrongMethod {
        /// The method of the request.
        method: String,
        /// The path of its URL.
        path: String,
        /// The method that is answered.
        allowed: &'static str,
    },
    /// The caller cancelled. Nothing is lost: the engine can be used again.
    #[error("aborted by the caller")]
    Aborted,
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The path or URL.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A fault of this crate, never of its caller.
    #[error("internal error: {detail}")]
    Internal {
        /// What was found impossible.
        detail: String,
    },
}

impl Error {
    /// The stable name of the variant, the same in Rust, JavaScript and on the command line.
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// An [`Error::Io`] from the system's error.
    pub fn io(path: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::Io { path: path.to_string(), reason: error.to_string() }
    }

    /// An [`Error::InvalidRequest`].
    pub fn request(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidRequest { field: field.into(), reason: reason.into() }
    }

    /// An [`Error::InvalidPackage`].
    pub fn package(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidPackage { file: file.into(), reason: reason.into() }
    }

    /// An [`Error::InvalidCheckpoint`].
    pub fn checkpoint(file: impl Into<String>, tensor: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidCheckpoint { file: file.into(), tensor: tensor.into(), reason: reason.into() }
    }
}

impl From<PictureError> for Error {
    fn from(error: PictureError) -> Self {
        match error {
            PictureError::InvalidImage { reason } => Self::InvalidImage { reason },
            PictureError::ImageTooLarge { width, height, limit_megapixels } => {
                Self::ImageTooLarge { width, height, limit_megapixels }
            }
        }
    }
}

/// `text`, or nothing where `about` is empty.
fn unless_empty(about: &str, text: String) -> String {
    if about.is_empty() { String::new() } else { text }
}

/// What a budget says.
#[cfg(feature = "cli")]
fn exceeded(
    scope: &str,
    unit: &str,
    (limit, spent): (&serde_json::Number, &serde_json::Number),
    asked: Option<u64>,
    renews_at: Option<&str>,
) -> String {
    let asked = asked.map(|asked| format!(", {asked} are asked for")).unwrap_or_default();
    let renews = renews_at.map(|at| format!("; it starts anew at {at}")).unwrap_or_default();
    format!("the {scope}'s budget is {limit} {unit}: {spent} are spent{asked}{renews}")
}

/// ` (BYTES for THIS, BYTES for THAT)` or nothing.
fn breakdown(parts: &[(String, u64)]) -> String {
    let all: Vec<String> = parts.iter().map(|(purpose, bytes)| format!("{bytes} for {purpose}")).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}
