//! An answer on its way from the engine's thread to a connection: a few frames at a time, as fast as they are read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::usage;

/// Frames that nobody has read before the engine waits.
const MOST_UNREAD: usize = 16;
/// After so long without a frame a comment is sent, so that nothing between here and the client takes the connection for dead.
const SILENCE: Duration = Duration::from_secs(10);

/// What the engine's thread sends.
pub(super) enum Answer {
    /// A message of a stream, as it is sent.
    Frame(String),
    /// The whole answer, or what went wrong.
    End(Result<String>),
}

/// The engine's side.
pub(super) struct Flow {
    pub(super) number: usize,
    pub(super) cancel: RequestControl,
    sender: UnboundedSender<Answer>,
    unread: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Flow {
    /// `wake` tells the engine's thread that the answer is read again, or given up.
    pub(super) fn new(number: usize, wake: Box<dyn Fn() + Send + Sync>) -> (Arc<Self>, Reader) {
        let (sender, receiver) = unbounded_channel();
        let flow = Arc::new(Self { number, cancel: RequestControl::new(), sender, unread: AtomicUsize::new(0), wake });
        (flow.clone(), Reader { flow, receiver, first: None })
    }

    /// Sends more of the answer, and holds the request if too much of it has not been read.
    pub(super) fn send(&self, answer: Answer) {
        if matches!(answer, Answer::Frame(_)) && self.unread.fetch_add(1, Ordering::SeqCst) + 1 >= MOST_UNREAD {
            self.cancel.hold(true);
            // The reader may have read between the two.
            self.release();
        }
        // With the reader gone the request is cancelled.
        let _ = self.sender.send(answer);
    }

    fn release(&self) {
        if self.unread.load(Ordering::SeqCst) < MOST_UNREAD && self.cancel.is_held() {
            self.cancel.hold(false);
            (self.wake)();
        }
    }
}

/// The connection's side. Dropped, it cancels the request.
pub(super) struct Reader {
    flow: Arc<Flow>,
    receiver: UnboundedReceiver<Answer>,
    /// What has come and was not taken.
    first: Option<Answer>,
}

impl Reader {
    /// What the engine sends next.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(first);
        }
        self.receiver.poll_recv(context).map(|answer| {
            if matches!(answer, Some(Answer::Frame(_))) {
                self.flow.unread.fetch_sub(1, Ordering::SeqCst);
                self.flow.release();
            }
            let gone = || Answer::End(Err(Error::Internal { detail: "the engine has stopped".into() }));
            answer.unwrap_or_else(gone)
        })
    }

    /// Waits until the answer begins. What it failed with, if it did before that.
    pub(super) async fn begin(&mut self) -> Result<()> {
        match std::future::poll_fn(|context| self.poll(context)).await {
            Answer::End(Err(error)) => Err(error),
            first => {
                self.first = Some(first);
                Ok(())
            }
        }
    }

    /// What ends the request.
    pub(super) fn cancel(&self) -> RequestControl {
        self.flow.cancel.clone()
    }

    /// The whole answer.
    pub(super) async fn whole(mut self) -> Result<String> {
        loop {
            if let Answer::End(outcome) = std::future::poll_fn(|context| self.poll(context)).await {
                return outcome;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flow.cancel.cancel();
        (self.flow.wake)();
    }
}

/// The body of a streamed answer.
pub(super) struct Events {
    reader: Option<Reader>,
    silence: Interval,
}

impl Events {
    pub(super) fn new(reader: Reader) -> Self {
        let mut silence = interval(SILENCE);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        silence.reset();
        Self { reader: Some(reader), silence }
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
                    // Its headers were sent before anything could be known of this.
                    Err(error) => format!("data: {}\n\n", usage::reply(&error).body),
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
