//! Every failure that a caller can see, as data.
//!
//! Each variant carries the data that a program needs to react, and has a stable [`Error::code`] that JavaScript
//! receives unchanged.

use std::fmt;

use ocelli_pictures::PictureError;

/// File name of a package's manifest.
pub const MANIFEST_FILE: &str = "model.json";

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with the data that explains it. Serializes as that data alone; code and text are passed separately.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, strum::IntoStaticStr)]
#[serde(untagged)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Error {
    /// No usable WebGPU (or Vulkan, Metal, DX12) adapter. Another browser or machine may have one.
    #[error("no usable GPU adapter: {reason}")]
    WebgpuUnavailable {
        /// Reason given by the platform.
        reason: String,
    },
    /// A binding, buffer or workgroup of the model exceeds the device's limits.
    #[error("the device's {limit} is {available}, {what} needs {needed}")]
    LimitsTooSmall {
        /// Name of the limit, as WebGPU spells it.
        limit: &'static str,
        /// The buffer, kernel or feature that exceeds it.
        what: String,
        /// Amount needed.
        needed: u64,
        /// Amount that the device allows.
        available: u64,
    },
    /// The device was lost, and reopening it failed as well. The next request tries again.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// Message of the driver.
        reason: String,
    },
    /// GPU memory ran out.
    #[error("the GPU is out of memory: {}{detail}", unless_empty(.what, format!("{what} needs {bytes} bytes, {in_use} are in use: ")))]
    OutOfMemory {
        /// The buffer that could not be allocated; empty if the driver does not tell.
        what: String,
        /// Its purpose, as in the ledger.
        purpose: String,
        /// Its length in bytes.
        bytes: u64,
        /// Bytes of all buffers together.
        in_use: u64,
        /// Message of the driver.
        detail: String,
    },
    /// Even the plan that takes the least memory exceeds the memory budget. Nothing was allocated.
    #[error("{what}: {needed} bytes of memory are needed, {budget} are allowed{}", breakdown(.parts))]
    BudgetTooSmall {
        /// The allocation that does not fit.
        what: String,
        /// Bytes allowed.
        budget: u64,
        /// Bytes needed at least.
        needed: u64,
        /// Bytes needed, by purpose.
        parts: Vec<(String, u64)>,
    },
    /// A budget of tokens or time is used up. Nothing was computed.
    #[error("{}", exceeded(.scope, .unit, (.limit, .spent), *.asked, .renews_at.as_deref()))]
    BudgetExceeded {
        /// Owner of the budget: `request`, `key` or `batch`.
        scope: &'static str,
        /// `tokens` or `seconds`.
        unit: &'static str,
        /// Amount allowed.
        limit: serde_json::Number,
        /// Amount used.
        spent: serde_json::Number,
        /// Least number of tokens needed: the prompt and one token of an answer. `None` for seconds, which are not
        /// known in advance.
        asked: Option<u64>,
        /// Time of the next reset, such as `2026-11-24T00:00:00Z`; `None` for requests and batches.
        renews_at: Option<String>,
        /// Seconds until the reset.
        retry_after: Option<u64>,
    },
    /// The driver refused a valid operation: a bug in this crate or in the driver.
    #[error("GPU error in {stage}: {detail}")]
    Gpu {
        /// The operation.
        stage: String,
        /// Message of the driver.
        detail: String,
    },
    /// A kernel computes wrong numbers on this device, so answers would be wrong as well. The cause is the driver:
    /// update it, or use another browser or device.
    #[error("kernel {kernel} failed its self-test on this device: {detail}")]
    SelfTestFailed {
        /// The kernel and its layout, such as `matmul<q4_0>`.
        kernel: String,
        /// Tier of its optional features; `baseline` needs none.
        tier: String,
        /// The number with the largest error, and the expected one.
        detail: String,
    },
    /// A package (`model.json`, shards, `tokenizer.json`) is inconsistent.
    #[error("{file}: {reason}")]
    InvalidPackage {
        /// The faulty file.
        file: String,
        /// The fault.
        reason: String,
    },
    /// A checkpoint to import is damaged or incomplete.
    #[error("{file}: {}{reason}", unless_empty(.tensor, format!("tensor {tensor}: ")))]
    InvalidCheckpoint {
        /// The faulty file.
        file: String,
        /// The faulty tensor; empty if the fault is in no tensor.
        tensor: String,
        /// The fault.
        reason: String,
    },
    /// The checkpoint belongs to a model family that this crate does not run.
    #[error("{file}: unsupported architecture {architecture:?}{}", unless_empty(.reason, format!(" ({reason})")))]
    UnsupportedArchitecture {
        /// The file that names it.
        file: String,
        /// The architecture, as the file spells it.
        architecture: String,
        /// The unsupported property; may be empty.
        reason: String,
    },
    /// A shard does not have the SHA-256 of the manifest.
    #[error("{file}: SHA-256 is {actual}, the manifest says {expected}")]
    Integrity {
        /// The shard.
        file: String,
        /// Hash in the manifest, hexadecimal.
        expected: String,
        /// Hash of the bytes, hexadecimal.
        actual: String,
    },
    /// The tokenizer file is unusable.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// The fault.
        reason: String,
    },
    /// The bytes are not a readable picture.
    #[error("not a readable picture: {reason}")]
    InvalidImage {
        /// Message of the decoder.
        reason: String,
    },
    /// The picture has more pixels than the decoder may hold.
    #[error("the picture is {width} x {height}, more than the limit of {limit_megapixels} megapixels")]
    ImageTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in millions of pixels.
        limit_megapixels: u32,
    },
    /// A field of a request is malformed.
    #[error("{field}: {reason}")]
    InvalidRequest {
        /// Path of the field in the request, such as `messages[1].content`.
        field: String,
        /// The fault.
        reason: String,
    },
    /// A field of a request is unknown or not supported.
    #[error("{field}: {reason}")]
    UnsupportedOption {
        /// Path of the field in the request.
        field: String,
        /// Reason for the refusal.
        reason: String,
    },
    /// A JSON schema contains a keyword that cannot be enforced during generation. Nothing was generated.
    #[error("{}{}{reason}", unless_empty(.pointer, format!("{pointer}: ")), unless_empty(.keyword, format!("{keyword}: ")))]
    UnsupportedSchema {
        /// JSON pointer to the schema; empty for the root.
        pointer: String,
        /// The keyword; empty if it is not a single one.
        keyword: String,
        /// Reason for the refusal.
        reason: String,
    },
    /// A regular expression or grammar is malformed, or exceeds the limits on time or memory.
    #[error("{reason}")]
    InvalidGrammar {
        /// The fault.
        reason: String,
    },
    /// Prompt and answer exceed the context.
    #[error("{tokens} tokens do not fit the context of {context}")]
    ContextOverflow {
        /// Tokens in the prompt.
        tokens: usize,
        /// Tokens the context holds.
        context: usize,
    },
    /// A request names a model that is not served.
    #[error("there is no model {model:?}, only {known}")]
    ModelNotFound {
        /// The name in the request.
        model: String,
        /// The names of the models that are served.
        known: String,
    },
    /// A disk, or a server's limit of stored files, has no room for the answers of a batch.
    #[error(
        "{path}: there is no room for more answers: delete files, and send the requests again that are not answered"
    )]
    StorageFull {
        /// Path or id of the file of answers.
        path: String,
    },
    /// A request names an object that is not stored, or that belongs to another sender.
    #[error("there is no {kind} {id:?}")]
    NoSuchObject {
        /// Kind of object.
        kind: &'static str,
        /// The id in the request.
        id: String,
    },
    /// No endpoint has this address.
    #[error("unknown request URL: {method} {path}")]
    UnknownUrl {
        /// The method of the request.
        method: String,
        /// The path of its URL.
        path: String,
    },
    /// The endpoint does not accept this method.
    #[error("method {method} is not allowed on {path}; use {allowed}")]
    WrongMethod {
        /// The method of the request.
        method: String,
        /// The path of its URL.
        path: String,
        /// The accepted method.
        allowed: &'static str,
    },
    /// The caller cancelled the request. The engine stays usable.
    #[error("aborted by the caller")]
    Aborted,
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The path or URL.
        path: String,
        /// Message of the system.
        reason: String,
    },
    /// A bug in this crate, never in its caller.
    #[error("internal error: {detail}")]
    Internal {
        /// The violated assumption.
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

/// `text`, or nothing if `about` is empty.
fn unless_empty(about: &str, text: String) -> String {
    if about.is_empty() { String::new() } else { text }
}

/// The message of [`Error::BudgetExceeded`].
fn exceeded(
    scope: &str,
    unit: &str,
    (limit, spent): (&serde_json::Number, &serde_json::Number),
    asked: Option<u64>,
    renews_at: Option<&str>,
) -> String {
    let asked = asked.map(|asked| format!(", {asked} more needed")).unwrap_or_default();
    let renews = renews_at.map(|at| format!("; resets at {at}")).unwrap_or_default();
    format!("{scope} budget exceeded: {spent} of {limit} {unit} used{asked}{renews}")
}

/// ` (BYTES for A, BYTES for B)`, or nothing.
fn breakdown(parts: &[(String, u64)]) -> String {
    let all: Vec<String> = parts.iter().map(|(purpose, bytes)| format!("{bytes} for {purpose}")).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}
