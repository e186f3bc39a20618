//! Output of an engine's thread for a connection: a few frames at a time, as fast as the client reads.

use std::task::{Context, Poll};

use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Messages from the engine's thread.
pub(crate) enum Answer {
    /// An encoded frame of a stream.
    Frame(String),
    /// The whole answer, or an error.
    End(Result<String>),
}

/// The engine's side. Dropping it ends the answer, also after a panic.
pub(crate) struct Flow(UnboundedSender<Answer>);

impl Flow {
    /// Creates both sides. `wake` wakes the engine's thread when the client reads or cancels.
    pub(crate) fn new(control: RequestControl, wake: Box<dyn Fn() + Send + Sync>) -> (Self, Reader) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), Reader { control, wake, receiver, first: None })
    }

    /// Sends a part of the answer. The request's control limits how much is unread.
    pub(crate) fn send(&self, answer: Answer) {
        // Without a reader the request is cancelled already.
        let _ = self.0.send(answer);
    }
}

/// The connection's side; dropping it cancels the request.
pub(crate) struct Reader {
    control: RequestControl,
    wake: Box<dyn Fn() + Send + Sync>,
    receiver: UnboundedReceiver<Answer>,
    /// A message that was received but not returned.
    first: Option<Answer>,
}

impl Reader {
    /// Polls for the next message from the engine.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
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
    pub(crate) async fn next(&mut self) -> Answer {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Waits until the answer begins; fails if it ends with an error before that.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        match self.next().await {
            Answer::End(Err(error)) => Err(error),
            first => {
                self.first = Some(first);
                Ok(())
            }
        }
    }

    /// The whole answer.
    pub(crate) async fn whole(mut self) -> Result<String> {
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
