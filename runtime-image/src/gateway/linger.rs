//! Bodies that are refused before they have been read.
//!
//! A server that answers and closes while its client is still sending has the kernel reset the connection, and the answer
//! is lost with it: the client sees a broken pipe instead of "full" or "too large". So what is left of such a body is
//! received and thrown away beside the answer, which goes out at once. It takes no memory but the connection's own
//! buffer, and ends after [`MOST_BYTES`] or [`LONGEST`]; a client that sends on after that is cut off.

use axum::body::Body as Stream;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// Thrown away of a body at most: as much as the largest that is usually taken.
const MOST_BYTES: usize = 64 << 20;
/// A client has so long to notice the answer.
const LONGEST: Duration = Duration::from_secs(5);

/// A body that is received to its end even if nobody reads it.
#[derive(Debug)]
struct Lingering {
    /// `None` once it has ended.
    rest: Option<Stream>,
}

/// Lets bodies of requests linger.
pub(super) async fn lingering(request: Request, next: Next) -> Response {
    let wrap = |rest| Stream::new(Lingering { rest: Some(rest) });
    next.run(request.map(wrap)).await
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = Pin::new(rest).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !rest.is_end_stream()) else { return };
        // Dropped outside of a runtime, the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(LONGEST, discard(rest)));
        }
    }
}

async fn discard(mut body: Stream) {
    let mut left = MOST_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Endless, in pieces of 1 MiB; counts those taken.
    struct Endless(Arc<AtomicUsize>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; 1 << 20])))))
        }
    }

    #[tokio::test]
    async fn a_body_without_end_is_thrown_away_up_to_the_limit() {
        let taken = Arc::new(AtomicUsize::new(0));
        drop(Lingering { rest: Some(Stream::new(Endless(Arc::clone(&taken)))) });
        tokio::task::yield_now().await;
        assert_eq!(taken.load(Ordering::Relaxed), MOST_BYTES >> 20);
    }
}
