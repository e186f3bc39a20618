//! The body of a streamed answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::http::failure;
use crate::engines::{Answer, Reader};

/// Time without a frame after which a comment is sent, so that proxies keep the connection open.
const SILENCE: Duration = Duration::from_secs(10);

/// The body of a streamed answer.
pub(super) struct Events {
    reader: Option<Reader>,
    silence: Interval,
    /// Path of the request, which decides the format of errors.
    path: String,
}

impl Events {
    pub(super) fn new(reader: Reader, path: String) -> Self {
        let mut silence = interval(SILENCE);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        silence.reset();
        Self { reader: Some(reader), silence, path }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
        let text = match reader.poll(context) {
            Poll::Ready(Answer::Frame(text)) => text,
            Poll::Ready(Answer::End(outcome)) => {
                this.reader = None;
                match outcome {
                    Ok(_) => return Poll::Ready(None),
                    // The headers, with their status, are sent already.
                    Err(error) => failure(&error).event(&this.path),
                }
            }
            Poll::Pending => {
                std::task::ready!(this.silence.poll_tick(context));
                ": still at work\n\n".into()
            }
        };
        this.silence.reset();
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
