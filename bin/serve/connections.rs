//! Connections, limited in number and slowness, until the process receives a signal to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use ocelli::{Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

use super::handler::Server;
use crate::shared::io;

/// Limit of connections; others wait to be accepted.
const MOST: usize = 512;
/// Time limit of a request's head.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// Time after which a client that reads nothing is disconnected.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// Time to complete active answers after a signal to end.
const LAST_TIME: Duration = Duration::from_secs(30);

/// Opens the listening socket.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| Error::io(address, &error))
}

/// Serves until a signal to end, then completes active answers within a time limit.
pub(super) async fn serve(listener: TcpListener, mut signals: Signals, server: Arc<Server>) {
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MOST)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = signals.next() => break,
        };
        let Ok((stream, _)) = stream else {
            // For example, no file descriptor is free; other connections may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(stream, server.clone(), &graceful);
        tokio::spawn(async move {
            // Disconnected clients are not errors of the server.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if !server.models.are_ready() {
        // Loading cannot be cancelled, and nothing is lost with it.
        server.batches.store.end();
        exit();
    }
    // The streams of sessions have no end of their own.
    server.tools.get().into_iter().for_each(|tools| (tools.stop)());
    io::inform("ending: answers under way are completed, a second signal ends them too");
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(LAST_TIME) => {}
        () = signals.next() => {}
    }
    server.models.stop();
    signals.next().await;
    // The engine may hang.
    server.batches.store.end();
    exit();
}

/// A connection and all its requests.
pub(super) fn connection(
    stream: TcpStream,
    server: Arc<Server>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = hyper::Result<()>> + use<> {
    // Frames are small and must not be delayed.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let service = service_fn(move |request| server.clone().answer(request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    graceful.watch(builder.serve_connection(TokioIo::new(Box::pin(stream)), service))
}

/// Signals to end, noticed from the creation of this value.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// `io`.
    pub(super) fn new() -> Result<Self> {
        #[cfg(unix)]
        let signals = {
            use tokio::signal::unix::{SignalKind, signal};
            let terminate = signal(SignalKind::terminate());
            terminate.and_then(|terminate| Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? }))
        };
        #[cfg(not(unix))]
        let signals = tokio::signal::windows::ctrl_c().map(|interrupt| Self { interrupt });
        signals.map_err(|error| Error::io("signals", &error))
    }

    /// Resolves at the next signal.
    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        self.interrupt.recv().await;
    }
}

/// Ends the process without the exit handlers of drivers, which crash while other threads use the driver.
fn exit() -> ! {
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "the standard library cannot skip exit handlers")]
    // SAFETY: the function has no preconditions.
    unsafe {
        libc::_exit(130)
    }
    #[cfg(not(unix))]
    std::process::exit(130)
}
