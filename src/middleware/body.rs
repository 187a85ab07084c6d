//! [`SessionBody`]: the application's body, or the body of this crate's own response.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response: the application's, or bytes where this crate responds itself. `B` only
    /// needs to be a body of [`Bytes`], and only for the implementation of [`Body`].
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        kind: BodyKind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum BodyKind<B> {
        Application { #[pin] body: B },
        Own { bytes: Option<Bytes> },
    }
}

impl<B> SessionBody<B> {
    pub(crate) const fn application(body: B) -> Self {
        Self { kind: BodyKind::Application { body } }
    }

    /// A response of this crate. The response to HEAD states the length of the response to GET and has
    /// no content (RFC 9110 §9.3.2): with HTTP/2, hyper leaves that to the service, and clients reset
    /// streams that violate it.
    pub(crate) fn own(mut response: Response<Bytes>, to_head: bool) -> Response<Self> {
        let length = response.body().len();
        if to_head && length > 0 {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let is_empty = to_head || length == 0;
        response.map(|bytes| Self { kind: BodyKind::Own { bytes: (!is_empty).then_some(bytes) } })
    }
}

/// An empty body: what layers such as `CorsLayer` and `TimeoutLayer` respond with.
impl<B> Default for SessionBody<B> {
    fn default() -> Self {
        Self { kind: BodyKind::Own { bytes: None } }
    }
}

impl<B: Body<Data = Bytes>> Body for SessionBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Application { body } => body.poll_frame(cx),
            KindProj::Own { bytes } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Application { body } => body.is_end_stream(),
            BodyKind::Own { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodyKind::Application { body } => body.size_hint(),
            BodyKind::Own { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
