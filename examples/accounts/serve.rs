//! Serving: where the site can be opened, and how it stops.

use std::{
    future::Future,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::Router;
use futures::FutureExt as _;

/// How long requests in flight may take once the process was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until the process is told to stop and the requests in flight are answered.
pub(crate) async fn until_stopped(
    listener: TcpListener,
    origin: Option<&str>,
    app: Router,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Before anybody is told the address, so that whoever knows it can stop the process.
    let stop = stop_requested()?.shared();
    announce(listener.local_addr()?, origin);

    let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone());
    tokio::select! {
        served = served => served,
        () = async { stop.await; tokio::time::sleep(GRACE).await } => {
            eprintln!("warning: requests were still open after {} s", GRACE.as_secs());
            Ok(())
        }
    }
}

/// Says where the site is, and which of its names to open: cookies and origins are bound to it.
fn announce(address: SocketAddr, origin: Option<&str>) {
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
                 plain http they keep the session cookie for localhost and 127.0.0.1 only"
            );
        }
    }
    // Nobody may be reading, which is no reason to stop.
    let _ = io::stdout().write_all(lines.as_bytes());
}

/// The other name of this machine under which a browser finds the site.
fn twin(origin: &str) -> Option<String> {
    let (one, other) = ("//127.0.0.1", "//localhost");
    let (from, to) = if origin.contains(one) { (one, other) } else { (other, one) };
    origin.contains(from).then(|| origin.replacen(from, to, 1))
}

/// Resolves at SIGTERM or Ctrl-C.
#[cfg(unix)]
fn stop_requested() -> io::Result<impl Future<Output = ()>> {
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
fn stop_requested() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
