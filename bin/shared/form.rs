//! Forms of uploads: a file, and a few short fields. The length of their heads is bounded, because the parser keeps heads in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use multer::{Constraints, Error, Field, Multipart, Result, SizeLimit};

/// Most bytes of a file.
pub(crate) const MOST_BYTES: u64 = 512 << 20;
/// Most bytes of another field.
pub(crate) const MOST_FIELD: u64 = 64;
/// Bytes of part heads after which a form is refused.
const MOST_HEAD: usize = 16 << 10;

/// Receiver of the file in a form.
pub(crate) trait Receiver {
    /// Begins the file.
    async fn begin(&mut self, name: &str) -> std::io::Result<()>;
    /// Adds to the file.
    async fn add(&mut self, piece: Bytes) -> std::io::Result<()>;
    /// Ends the file.
    async fn end(&mut self) -> std::io::Result<()>;
}

/// Fields of a form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) purpose: Option<String>,
    pub(crate) anchor: Option<String>,
    pub(crate) seconds: Option<String>,
    pub(crate) has_file: bool,
}

/// Reads a form. Only its first file is received.
///
/// # Errors
/// Errors of the parser; [`Error::StreamReadFailed`] with the error of the body or of the receiver.
pub(crate) async fn read<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    body: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
    boundary: String,
    receiver: &mut impl Receiver,
) -> Result<Form> {
    let limits =
        SizeLimit::new().whole_stream(MOST_BYTES + (1 << 20)).per_field(MOST_FIELD).for_field("file", MOST_BYTES);
    let (limits, in_heads) = (Constraints::new().size_limit(limits), Arc::new(AtomicUsize::new(0)));
    let mut parts = Multipart::with_constraints(bounded(body, in_heads.clone()), boundary, limits);
    let mut form = Form::default();
    while let Some(field) = parts.next_field().await? {
        match field.name() {
            Some("file") if !form.has_file => {
                form.has_file = true;
                receive(field, receiver, &in_heads).await?;
            }
            Some("purpose") => form.purpose = Some(field.text().await?),
            Some("expires_after[anchor]") => form.anchor = Some(field.text().await?),
            Some("expires_after[seconds]") => form.seconds = Some(field.text().await?),
            _ => {}
        }
        in_heads.store(0, Ordering::Relaxed);
    }
    Ok(form)
}

/// A body that fails if the heads of its parts are too long.
fn bounded<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    body: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
    in_heads: Arc<AtomicUsize>,
) -> impl Stream<Item = std::result::Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send {
    body.map(move |piece| {
        let piece = piece.map_err(Into::into)?;
        // The frame in which the limit is reached may have content after the head.
        match in_heads.fetch_add(piece.len(), Ordering::Relaxed) {
            ..MOST_HEAD => Ok(piece),
            _ => Err("the head of a part is too long".into()),
        }
    })
}

async fn receive(mut field: Field<'_>, receiver: &mut impl Receiver, in_heads: &AtomicUsize) -> Result<()> {
    let failed = |error: std::io::Error| Error::StreamReadFailed(Box::new(error));
    receiver.begin(field.file_name().unwrap_or("file")).await.map_err(failed)?;
    loop {
        // Only the content of this part is read until its end.
        in_heads.store(0, Ordering::Relaxed);
        let Some(piece) = field.chunk().await? else { break };
        receiver.add(piece).await.map_err(failed)?;
    }
    receiver.end().await.map_err(failed)
}
