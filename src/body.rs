//! [`SessionBody`]: the application's body, or an answer of ours.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response: the application's own, or bytes of this crate where it answers
    /// itself. It asks nothing of `B` but to be a body of [`Bytes`], and that only here.
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<B> {
        Application { #[pin] body: B },
        Own { bytes: Option<Bytes> },
    }
}

impl<B> SessionBody<B> {
    pub(crate) const fn application(body: B) -> Self {
        Self { kind: Kind::Application { body } }
    }

    /// `response` as one of ours.
    pub(crate) fn own(response: Response<Bytes>) -> Response<Self> {
        response.map(|bytes| {
            let bytes = if bytes.is_empty() { None } else { Some(bytes) };
            Self { kind: Kind::Own { bytes } }
        })
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
            Kind::Application { body } => body.is_end_stream(),
            Kind::Own { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Application { body } => body.size_hint(),
            Kind::Own { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
