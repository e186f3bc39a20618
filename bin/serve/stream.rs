//! Output of the engine's thread for a connection: a few frames at a time, as fast as the client reads.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::http::failure;

/// Time without a frame after which a comment is sent, so that proxies keep the connection open.
const SILENCE: Duration = Duration::from_secs(10);

/// Messages from the engine's thread.
pub(super) enum Answer {
    /// An encoded frame of a stream.
    Frame(String),
    /// The whole answer, or an error.
    End(Result<String>),
}

/// The engine's side. Dropping it ends the answer, also after a panic.
pub(super) struct Flow(UnboundedSender<Answer>);

impl Flow {
    /// Creates both sides. `wake` wakes the engine's thread when the client reads or cancels.
    pub(super) fn new(control: RequestControl, wake: Box<dyn Fn() + Send + Sync>) -> (Self, Reader) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), Reader { control, wake, receiver, first: None })
    }

    /// Sends a part of the answer. The request's control limits how much is unread.
    pub(super) fn send(&self, answer: Answer) {
        // Without a reader the request is cancelled already.
        let _ = self.0.send(answer);
    }
}

/// The connection's side; dropping it cancels the request.
pub(super) struct Reader {
    control: RequestControl,
    wake: Box<dyn Fn() + Send + Sync>,
    receiver: UnboundedReceiver<Answer>,
    /// A message that was received but not returned.
    first: Option<Answer>,
}

impl Reader {
    /// Polls for the next message from the engine.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(first);
        }
        self.receiver.poll_recv(context).map(|answer| {
            if matches!(answer, Some(Answer::Frame(_))) && self.control.frame_read() {
                (self.wake)();
            }
            let gone = || Answer::End(Err(Error::Internal { detail: "the engine has stopped".into() }));
            answer.unwrap_or_else(gone)
        })
    }

    /// Next message from the engine.
    pub(super) async fn next(&mut self) -> Answer {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Waits until the answer begins; fails if it ends with an error before that.
    pub(super) async fn begin(&mut self) -> Result<()> {
        match self.next().await {
            Answer::End(Err(error)) => Err(error),
            first => {
                self.first = Some(first);
                Ok(())
            }
        }
    }

    /// The whole answer.
    pub(super) async fn whole(mut self) -> Result<String> {
        loop {
            if let Answer::End(outcome) = self.next().await {
                return outcome;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.control.cancel();
        (self.wake)();
    }
}

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
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_whose_engine_has_panicked_ends_with_an_error() {
        let (flow, reader) = Flow::new(RequestControl::new(), Box::new(|| {}));
        flow.send(Answer::Frame("data: {}\n\n".into()));
        // The panic drops the scheduler with all its requests.
        drop(flow);
        let outcome = pollster::block_on(reader.whole());
        assert_eq!(outcome.map_err(|error| error.code()), Err("internal"));
    }
}
