//! The bytes below frames: plain, or secured.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

/// What comes.
#[derive(Debug)]
pub(crate) enum Reading {
    Plain(OwnedReadHalf),
    Secured(ReadHalf<Box<TlsStream<TcpStream>>>),
}

/// What goes.
#[derive(Debug)]
pub(crate) enum Writing {
    Plain(OwnedWriteHalf),
    Secured(WriteHalf<Box<TlsStream<TcpStream>>>),
}

impl Stream {
    pub(crate) fn into_split(self) -> (Reading, Writing) {
        match self {
            Stream::Plain(stream) => {
                let (read, write) = stream.into_split();
                (Reading::Plain(read), Writing::Plain(write))
            }
            Stream::Secured(stream) => {
                let (read, write) = split(stream);
                (Reading::Secured(read), Writing::Secured(write))
            }
        }
    }
}

impl AsyncRead for Reading {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Reading::Plain(half) => Pin::new(half).poll_read(context, buffer),
            Reading::Secured(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

impl Writing {
    /// Writes before the first frame.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writing::Plain(half) => half.write_all(bytes).await,
            Writing::Secured(half) => {
                half.write_all(bytes).await?;
                half.flush().await
            }
        }
    }
}
