//! Serving: where the site can be opened, and how it stops.

use std::{
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use axum::Router;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use crate::settings::Settings;

/// How long requests in flight may take after the process received a stop signal.
const GRACE: Duration = Duration::from_secs(10);

/// Resolves when the process received a stop signal; clones resolve together.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Serves until `stop`, and until the requests in flight are answered.
pub(crate) async fn until_stopped(settings: Settings, app: Router, stop: Stop) -> io::Result<()> {
    settings.listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(settings.listener)?;
    let place = settings.stored.as_ref().map(|stored| &*stored.place);
    announce(listener.local_addr()?, settings.origin.as_deref(), place);

    let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone());
    tokio::select! {
        served = served => served,
        () = async { stop.await; tokio::time::sleep(GRACE).await } => {
            eprintln!("warning: requests were still open after {} s", GRACE.as_secs());
            Ok(())
        }
    }
}

/// Prints the address, and which of its names to open: cookies and origins are bound to it.
fn announce(address: SocketAddr, origin: Option<&str>, place: Option<&str>) {
    let mut lines = format!("listening on http://{address}\n");
    match origin {
        Some(origin) => {
            lines.push_str(&format!("open {origin}"));
            if let Some(twin) = twin(origin) {
                lines.push_str(&format!(" (not {twin}: another origin with cookies of its own)"));
            }
            lines.push('\n');
        }
        None => {
            if address.ip().is_unspecified() {
                lines.push_str(&format!(
                    "on this machine, open http://127.0.0.1:{}\n",
                    address.port()
                ));
            }
            eprintln!(
                "warning: set SESSION_ORIGIN to the origin that browsers show for this site; over \
                 plain http they do not keep the session cookie of another machine"
            );
        }
    }
    match place {
        Some(place) => lines.push_str(&format!("sessions are kept {place}\n")),
        None => lines.push_str("sessions are kept in cookies alone: SESSION_STORE is none\n"),
    }
    // Standard output may be closed, which is no reason to stop.
    let _ = io::stdout().write_all(lines.as_bytes());
}

/// The other name of this machine under which a browser finds the site.
fn twin(origin: &str) -> Option<String> {
    let (one, other) = ("//127.0.0.1", "//localhost");
    let (from, to) = if origin.contains(one) { (one, other) } else { (other, one) };
    origin.contains(from).then(|| origin.replacen(from, to, 1))
}

/// Installs the handlers of stop signals. Call it before the address is printed, so that a process
/// that reads the address can stop this one.
pub(crate) fn stop_requested() -> io::Result<Stop> {
    Ok(signals()?.boxed().shared())
}

/// Resolves at SIGTERM or Ctrl-C.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
