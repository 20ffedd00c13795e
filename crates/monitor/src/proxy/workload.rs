//! The SPIFFE Workload API on `/run/casemate/workload.sock`, so that programs written for SPIFFE work as they are
//! (`docs/formats/workload-api.md`). Who asks is known by the socket, which stands in one program's root. It hands out
//! exportable credentials only, never the proxy's own key, and speaks for no other program.

mod issuer;
mod messages;
mod service;

use std::sync::Arc;
use std::time::Duration;

use channel::admission::Bundle;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use platform::keyholder;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use trust::revocation::Revoked;

use self::issuer::{Desk, Issuer, State};
use self::service::Service;
use super::{admit, clock};

/// Connections of the program at once.
const CONNECTIONS_MAX: usize = 32;
/// Calls of one connection at once.
const CALLS_MAX: u32 = 16;
/// Headers of one request.
const HEADERS_MAX: u32 = 8 * 1024;
/// What is buffered of one connection, either way.
const BUFFER_MAX: usize = 64 * 1024;
const WINDOW: u32 = 64 * 1024;
/// A connection without a call is told to go after this long, and ended after as long again.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Serves the program until the proxy ends. A program of no domain (the first authority) gets nothing.
pub(super) async fn serve(
    listener: UnixListener,
    keyholder: Arc<keyholder::Client>,
    bundle: Option<Bundle>,
) {
    let asker = bundle.and_then(|bundle| Some((bundle, admit::holder(&keyholder).ok()?)));
    let desk = match asker {
        Some((bundle, (attester, info))) => {
            let desk = Desk::new(State::Unasked);
            let own = [
                Revoked::Measurement(info.program.measurement),
                Revoked::StatementKey(info.statement_key),
            ];
            let issuer = Issuer { bundle, root: info.domain, attester, own, clock };
            tokio::spawn(issuer.keep(desk.clone()));
            desk
        }
        None => Desk::new(State::Refused("this program is of no domain".to_owned())),
    };
    accept(listener, desk, IDLE_MAX).await;
}

async fn accept(listener: UnixListener, desk: Desk, idle_max: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let desk = desk.clone();
        tokio::spawn(async move {
            connection(stream, desk, idle_max).await;
            drop(place);
        });
    }
}

async fn connection(stream: UnixStream, desk: Desk, idle_max: Duration) {
    let service = Service { desk, open: Arc::default() };
    let open = Arc::clone(&service.open);
    let calls = service_fn({
        let service = service.clone();
        move |request| service.clone().answer(request)
    });
    // Calls hold copies of `open`; two stay: this function's and the one in `calls`.
    drop(service);
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS_MAX)
        .max_header_list_size(HEADERS_MAX)
        .max_send_buf_size(BUFFER_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), calls);
    let mut served = std::pin::pin!(served);
    let mut told = false;
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            () = tokio::time::sleep(idle_max) => {
                let idle = Arc::strong_count(&open) == 2;
                if told && idle {
                    return;
                }
                if idle {
                    served.as_mut().graceful_shutdown();
                }
                told = idle;
            }
        }
    }
}

#[cfg(test)]
mod tests;
