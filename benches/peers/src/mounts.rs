//! The cost of a layer in the mounts of the README, and for each connection.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    Router,
    body::Body as AxumBody,
    routing::{MethodRouter, get},
};
use http::{Request, Response, StatusCode, Uri};
use tonic::{body::Body as TonicBody, server::NamedService, service::Routes};
use tower::{Layer, Service, layer::util::Identity, service_fn};
use tower_auth_session::{Algorithm, SessionLayer};
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::{
    measure::{Body, ROUNDS, Spread, cost, now, request, signed_in},
    sites::{self, Answered, User},
};

type TowerSessions = SessionManagerLayer<MemoryStore>;

/// No layer, this crate's layer and that of tower-sessions, with their cookies.
struct Layers {
    this_crate: (SessionLayer<User>, Option<String>),
    tower_sessions: (TowerSessions, Option<String>),
}

pub(crate) fn mounts() {
    let (this_crate, mut cookies) = sites::layer(Algorithm::Hs256, 1, 1, |it| it);
    let tower_sessions = SessionManagerLayer::new(MemoryStore::default());
    let cookie = signed_in(&mut tower_sessions.layer(service_fn(sites::tower_sessions)));
    let layers = Layers {
        this_crate: (this_crate, cookies.remove(0)),
        tower_sessions: (tower_sessions, cookie),
    };
    println!("\n## Mounts\n");
    println!("Microseconds of one request above the same mount without a layer.\n");
    println!("| | no layer | this crate | tower-sessions 0.15 |\n|---|--:|--:|--:|");
    let [bare, this_crate, tower_sessions] = layers.routers();
    print_mount(
        "Tower service, as with hyper",
        [
            micros(service_fn(sites::bare), None),
            micros(layers.this_crate.0.layer(service_fn(sites::this_crate)), layers.this_crate()),
            micros(
                layers.tower_sessions.0.layer(service_fn(sites::tower_sessions)),
                layers.tower_sessions(),
            ),
        ],
    );
    print_mount(
        "`axum::Router` in a connection of `axum::serve`",
        [
            micros(connect(&bare), None),
            micros(connect(&this_crate), layers.this_crate()),
            micros(connect(&tower_sessions), layers.tower_sessions()),
        ],
    );
    print_mount(
        "`axum::Router` called as a service",
        [
            micros(bare, None),
            micros(this_crate, layers.this_crate()),
            micros(tower_sessions, layers.tower_sessions()),
        ],
    );
    print_mount(
        "tonic's `Routes`",
        [
            micros(in_tonic(sites::bare, &Identity::new()), None),
            micros(in_tonic(sites::this_crate, &layers.this_crate.0), layers.this_crate()),
            micros(
                in_tonic(sites::tower_sessions, &layers.tower_sessions.0),
                layers.tower_sessions(),
            ),
        ],
    );

    println!("\n## Connections\n");
    println!(
        "`axum::serve` clones the router for each connection and wraps its routes again. Of a router \
         with {ROUTES} routes; with `into_make_service` the routes are wrapped once per process.\n"
    );
    println!("| | µs min | median | max | allocations | bytes |\n|---|--:|--:|--:|--:|--:|");
    for (name, router) in
        ["no layer", "this crate", "tower-sessions 0.15"].into_iter().zip(layers.routers())
    {
        let micros = (0..ROUNDS).map(|_| {
            let start = Instant::now();
            for _ in 0..100 {
                drop(black_box(connect(&router)));
            }
            start.elapsed().as_secs_f64() * 1e6 / 100.0
        });
        let micros = Spread::of(micros.collect());
        let counted = allocation_counter::measure(|| drop(black_box(connect(&router))));
        println!("| {name} | {micros} | {} | {} |", counted.count_total, counted.bytes_total);
    }
}

impl Layers {
    fn this_crate(&self) -> Option<&str> {
        self.this_crate.1.as_deref()
    }

    fn tower_sessions(&self) -> Option<&str> {
        self.tower_sessions.1.as_deref()
    }

    fn routers(&self) -> [Router; 3] {
        [
            router(get(sites::bare::<AxumBody>)),
            router(get(sites::this_crate::<AxumBody>)).layer(self.this_crate.0.clone()),
            router(get(sites::tower_sessions::<AxumBody>)).layer(self.tower_sessions.0.clone()),
        ]
    }
}

const ROUTES: usize = 100;

fn router(page: MethodRouter) -> Router {
    let router = Router::new().route("/", page.clone());
    (1..ROUTES).fold(router, |router, n| router.route(&format!("/{n}"), page.clone()))
}

/// Does with a router what `axum::serve` does for each connection.
fn connect(router: &Router) -> Router {
    router.clone().with_state(())
}

/// The median time of a request to `service`, which shows the page of a user if there is a cookie.
fn micros<S, B>(mut service: S, cookie: Option<&str>) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(answer) = now(service.call(request(cookie)));
    assert_eq!(answer.status() == StatusCode::ACCEPTED, cookie.is_some());
    cost(&mut service, || cookie).micros.median
}

fn print_mount(name: &str, [bare, this_crate, tower_sessions]: [f64; 3]) {
    let [this_crate, tower_sessions] = [this_crate - bare, tower_sessions - bare];
    println!("| {name} | {bare:.2} | {this_crate:.2} | {tower_sessions:.2} |");
}

/// A service of tonic whose method shows the page.
#[derive(Clone)]
struct PageService<P>(P);

impl<P> NamedService for PageService<P> {
    const NAME: &'static str = "example.Page";
}

impl<P, F> Service<Request<TonicBody>> for PageService<P>
where
    P: Fn(Request<TonicBody>) -> F,
    F: Future<Output = Answered> + Send + 'static,
{
    type Response = Response<TonicBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<TonicBody>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async { Ok(answer.await?.map(TonicBody::new)) })
    }
}

fn in_tonic<P, F, L, B>(
    page: P,
    layer: &L,
) -> impl Service<Request<Body>, Response = Response<B>, Error = Infallible>
where
    P: Fn(Request<TonicBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answered> + Send + 'static,
    L: Layer<Routes>,
    L::Service: Service<Request<TonicBody>, Response = Response<B>, Error = Infallible>,
{
    let mut service = layer.layer(Routes::new(PageService(page)).prepare());
    let method = Uri::from_static("/example.Page/Show");
    service_fn(move |mut request: Request<Body>| {
        *request.uri_mut() = method.clone();
        service.call(request.map(TonicBody::new))
    })
}
