//! Reading the small body of an endpoint's request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::Body;
use pin_project_lite::pin_project;

/// The maximum size of a body: parameters take a few hundred bytes.
pub(crate) const MAX_BODY: usize = 8 * 1024;

/// How many frames one poll reads before it yields to other tasks.
const MAX_FRAMES: usize = 32;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    Broken,
    /// It did not arrive within the layer's timeout.
    TimedOut,
}

pin_project! {
    /// Collects a body of at most [`MAX_BODY`] bytes.
    pub(crate) struct ReadBody<Q> {
        #[pin]
        body: Q,
        read: Vec<u8>,
    }
}

impl<Q> ReadBody<Q> {
    pub(crate) const fn new(body: Q) -> Self {
        Self { body, read: Vec::new() }
    }
}

impl<Q: Body> Future for ReadBody<Q> {
    type Output = Result<Vec<u8>, BodyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A body of empty frames that is always ready must not block the thread.
        for _ in 0..MAX_FRAMES {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Poll::Ready(Err(BodyError::Broken)),
                None => return Poll::Ready(Ok(std::mem::take(this.read))),
            };
            if let Ok(mut data) = frame.into_data() {
                if this.read.len().saturating_add(data.remaining()) > MAX_BODY {
                    return Poll::Ready(Err(BodyError::TooLarge));
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let length = chunk.len();
                    this.read.extend_from_slice(chunk);
                    data.advance(length);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
