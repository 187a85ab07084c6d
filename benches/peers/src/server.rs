//! Throughput over loopback, and on several threads.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tower::Service;

use crate::measure::{Body, FIELDS, cookies, now, request};

const CONNECTIONS: usize = 16;
const WHILE: Duration = Duration::from_millis(500);

/// Requests per second that one thread of a hyper server handles for a client on another thread.
pub(crate) fn loopback<S, B>(service: &S, cookie: Option<&str>) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B::Data: Send,
{
    let (tell, told) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = service.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.spawn_local(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let service = server.clone();
                    let answer = service_fn(move |request: Request<Incoming>| {
                        service.clone().call(request.map(|_| Empty::new()))
                    });
                    tokio::task::spawn_local(async move {
                        let _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    });
                }
            });
            runtime.block_on(local.run_until(async { drop(stopped.await) }));
        });
        let rate = ask(told.recv().unwrap(), cookie);
        let _ = stop.send(());
        rate
    })
}

fn ask(address: SocketAddr, cookie: Option<&str>) -> f64 {
    let mut text = String::from("GET / HTTP/1.1\r\n");
    for (name, value) in FIELDS {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("cookie: {}\r\n\r\n", cookies(cookie));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    let total: usize = runtime.block_on(async {
        let asking = (0..CONNECTIONS).map(|_| {
            let text = text.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut buffer, mut count) = ([0; 4_096], 0);
                while start.elapsed() < WHILE {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    let mut length = 0;
                    // The responses have no body.
                    while !buffer[..length].ends_with(b"\r\n\r\n") {
                        length += stream.read(&mut buffer[length..]).await.unwrap();
                    }
                    count += 1;
                }
                count
            })
        });
        let mut total = 0;
        for asking in asking.collect::<Vec<_>>() {
            total += asking.await.unwrap();
        }
        total
    });
    total as f64 / start.elapsed().as_secs_f64()
}

/// Requests per second of `threads` threads that share the `cookies` evenly.
pub(crate) fn threads<S, B>(service: &S, cookies: &[Option<String>], threads: usize) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync,
{
    let (is_over, total) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..threads {
            let (is_over, total, mut service) = (&is_over, &total, service.clone());
            scope.spawn(move || {
                let cookie = cookies[n % cookies.len()].as_deref();
                let mut count = 0;
                while !is_over.load(Relaxed) {
                    for _ in 0..100 {
                        let Ok(response) = now(service.call(request(cookie)));
                        drop(response);
                    }
                    count += 100;
                }
                total.fetch_add(count, Relaxed);
            });
        }
        std::thread::sleep(WHILE);
        is_over.store(true, Relaxed);
    });
    total.load(Relaxed) as f64 / start.elapsed().as_secs_f64()
}
