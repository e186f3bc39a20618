//! Connections: so many at a time, each with limits on how slow it may be, until the process is asked to end.

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
use crate::open;

/// Connections at a time; others wait to be accepted.
const MOST: usize = 512;
/// Time that the head of a request may take to come.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// Time that a client may take nothing of what is sent.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// Time that answers under way have when the process is asked to end.
const LAST_TIME: Duration = Duration::from_secs(30);

/// Listens.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| Error::io(address, &error))
}

/// Serves until the process is asked to end, and what is under way then for a while longer.
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
            // No file descriptors, say: others may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(stream, server.clone(), &graceful);
        tokio::spawn(async move {
            // A client that breaks off is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open::inform("ending: answers under way are completed, a second signal ends them too");
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(LAST_TIME) => {}
        () = asked_to_end() => {}
    }
    server.jobs.stop();
}

/// A connection and all its requests.
fn connection(
    stream: TcpStream,
    server: Arc<Server>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = hyper::Result<()>> + use<> {
    // Frames are small, and wanted at once.
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
