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
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MOST)));
    let mut end = std::pin::pin!(asked_to_end());
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
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
    if server.loaded().is_err() {
        // Loading cannot be cancelled, and nothing is lost with it.
        server.batches.store.end();
        std::process::exit(130);
    }
    io::inform("ending: answers under way are completed, a second signal ends them too");
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(LAST_TIME) => {}
        () = asked_to_end() => {}
    }
    server.jobs.stop();
    asked_to_end().await;
    // The engine may hang.
    std::process::exit(130);
}

/// A connection and all its requests.
fn connection(
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

/// Resolves at the next signal to end.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
