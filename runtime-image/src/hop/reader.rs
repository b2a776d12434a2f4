//! Reads frames and the bodies behind them.

use bytes::{Buf as _, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use transport::tls::HandshakeError;
use wire::frame::{Decoder, Frame, FrameError};

/// One read takes what the kernel has, up to this.
const CHUNK: usize = 64 * 1024;

/// A stream with the bytes read ahead.
#[derive(Debug)]
pub(crate) struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame; `None` when the peer has closed between frames. Safe to cancel: nothing read is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = Decoder.next(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(CHUNK);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                };
            }
        }
    }

    /// The `size` bytes behind a frame. The caller has reserved memory for them.
    pub(crate) async fn body(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let ahead = self.buffer.len().min(size);
        let mut body = Vec::with_capacity(size);
        body.extend_from_slice(&self.buffer[..ahead]);
        self.buffer.advance(ahead);
        let missing = (size - ahead) as u64;
        let read = (&mut self.stream).take(missing).read_to_end(&mut body).await?;
        if read as u64 == missing { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads past the `size` bytes behind a refused frame, without keeping them.
    pub(crate) async fn drain(&mut self, mut size: usize) -> io::Result<()> {
        loop {
            let ahead = self.buffer.len().min(size);
            self.buffer.advance(ahead);
            size -= ahead;
            if size == 0 {
                return Ok(());
            }
            self.buffer.clear();
            self.buffer.reserve(CHUNK);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::frame::encode;

    fn stream() -> BytesMut {
        let mut bytes = BytesMut::new();
        encode(&Frame::Body { id: 1, size: 5 }, &mut bytes);
        bytes.extend_from_slice(b"hello");
        encode(&Frame::Ping, &mut bytes);
        bytes
    }

    #[tokio::test]
    async fn bodies_are_taken_or_drained_and_frames_go_on_behind_them() {
        for taken in [true, false] {
            let bytes = stream();
            let mut reader = FrameReader::new(&bytes[..]);
            assert_eq!(reader.next().await.unwrap(), Some(Frame::Body { id: 1, size: 5 }));
            if taken {
                assert_eq!(reader.body(5).await.unwrap(), b"hello");
            } else {
                reader.drain(5).await.unwrap();
            }
            assert_eq!(reader.next().await.unwrap(), Some(Frame::Ping));
            assert_eq!(reader.next().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_or_body_is_an_error() {
        let bytes = stream();
        let mut reader = FrameReader::new(&bytes[..7]);
        assert!(reader.next().await.is_err());
        let mut reader = FrameReader::new(&bytes[..20]);
        reader.next().await.unwrap();
        assert!(reader.body(5).await.is_err());
        let mut reader = FrameReader::new(&bytes[..20]);
        reader.next().await.unwrap();
        assert!(reader.drain(5).await.is_err());
    }
}
