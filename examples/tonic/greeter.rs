//! What tonic generates of this file, written by hand: no `protoc` is needed to build the example.
//!
//! ```proto
//! syntax = "proto3";
//! package example;
//!
//! service Greeter {
//!   rpc Greet(GreetRequest) returns (Greeting);
//!   rpc CountDown(CountDownRequest) returns (stream Count);
//! }
//!
//! message GreetRequest { string greeting = 1; }
//! message Greeting { string text = 1; }
//! message CountDownRequest { uint32 from = 1; }
//! message Count { uint32 left = 1; }
//! ```

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{future::BoxFuture, stream::BoxStream};
use http::uri::PathAndQuery;
use tonic::{
    Request, Response, Status, Streaming, body::Body, server::NamedService, transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GreetRequest {
    #[prost(string, tag = "1")]
    pub(crate) greeting: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Greeting {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CountDownRequest {
    #[prost(uint32, tag = "1")]
    pub(crate) from: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Count {
    #[prost(uint32, tag = "1")]
    pub(crate) left: u32,
}

/// What the application implements.
#[tonic::async_trait]
pub(crate) trait Greeter: Send + Sync + 'static {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<Greeting>, Status>;

    async fn count_down(
        &self,
        request: Request<CountDownRequest>,
    ) -> Result<Response<BoxStream<'static, Result<Count, Status>>>, Status>;
}

pub(crate) struct GreeterServer<G>(Arc<G>);

impl<G> GreeterServer<G> {
    pub(crate) fn new(greeter: G) -> Self {
        Self(Arc::new(greeter))
    }
}

impl<G> Clone for GreeterServer<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<G> NamedService for GreeterServer<G> {
    const NAME: &'static str = "example.Greeter";
}

impl<G: Greeter> Service<http::Request<Body>> for GreeterServer<G> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let greeter = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(match request.uri().path() {
                GREET => {
                    let method = service_fn(move |request| {
                        let greeter = Arc::clone(&greeter);
                        async move { greeter.greet(request).await }
                    });
                    tonic::server::Grpc::new(ProstCodec::default()).unary(method, request).await
                }
                COUNT_DOWN => {
                    let method = service_fn(move |request| {
                        let greeter = Arc::clone(&greeter);
                        async move { greeter.count_down(request).await }
                    });
                    tonic::server::Grpc::new(ProstCodec::default())
                        .server_streaming(method, request)
                        .await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

pub(crate) struct GreeterClient(tonic::client::Grpc<Channel>);

impl GreeterClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn greet(
        &mut self,
        request: Request<GreetRequest>,
    ) -> Result<Response<Greeting>, Status> {
        self.ready().await?;
        self.0.unary(request, PathAndQuery::from_static(GREET), ProstCodec::default()).await
    }

    pub(crate) async fn count_down(
        &mut self,
        request: Request<CountDownRequest>,
    ) -> Result<Response<Streaming<Count>>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(COUNT_DOWN);
        self.0.server_streaming(request, path, ProstCodec::default()).await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}

const GREET: &str = "/example.Greeter/Greet";
const COUNT_DOWN: &str = "/example.Greeter/CountDown";
