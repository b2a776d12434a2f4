//! Compressed request bodies, expanded up to a limit.

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// Why a body could not be expanded; each has a status of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// Status 413.
    #[error("the body is larger than {limit} bytes after decompression")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Status 415.
    #[error("unknown Content-Encoding {0}, expected gzip, deflate or identity")]
    UnknownEncoding(String),
    /// Status 400.
    #[error("the body is no valid {encoding} data: {reason}")]
    Corrupt {
        /// What it was said to be.
        encoding: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl DecompressError {
    /// The HTTP status that tells this to a client.
    pub fn status(&self) -> u16 {
        match self {
            DecompressError::TooLarge { .. } => 413,
            DecompressError::UnknownEncoding(_) => 415,
            DecompressError::Corrupt { .. } => 400,
        }
    }
}

/// Expands a body with the value of `Content-Encoding`. `deflate` means the zlib format, as HTTP defines it.
pub fn decompress(encoding: &str, body: &Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if body.len() > limit => Err(DecompressError::TooLarge { limit }),
        "" | "identity" => Ok(body.clone()),
        "gzip" | "x-gzip" => {
            let mut decoder = MultiGzDecoder::new(&body[..]);
            expand("gzip", &mut decoder, body.len(), limit).map(Bytes::from)
        }
        "deflate" => {
            let mut decoder = ZlibDecoder::new(&body[..]);
            let expanded = expand("deflate", &mut decoder, body.len(), limit)?;
            check_whole(&decoder)?;
            Ok(expanded.into())
        }
        other => Err(DecompressError::UnknownEncoding(super::quoted(other))),
    }
}

fn expand(
    encoding: &'static str,
    decoder: &mut impl Read,
    compressed: usize,
    limit: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut expanded = Vec::with_capacity(compressed.saturating_mul(2).min(limit));
    // One byte more than allowed tells a full body from one that is too large.
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut expanded)
        .map_err(|error| DecompressError::Corrupt { encoding, reason: error.to_string() })?;
    if expanded.len() > limit { Err(DecompressError::TooLarge { limit }) } else { Ok(expanded) }
}

/// A zlib stream that stops early, or goes on, is no error to the decoder.
fn check_whole(decoder: &ZlibDecoder<&[u8]>) -> Result<(), DecompressError> {
    let left = decoder.get_ref().len();
    if left == 0 {
        return Ok(());
    }
    Err(DecompressError::Corrupt { encoding: "deflate", reason: format!("{left} bytes follow its end") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn deflate(body: &[u8]) -> Bytes {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn bodies_up_to_the_limit_are_expanded() {
        let body = vec![7; 1000];
        for (encoding, compressed) in [
            ("gzip", gzip(&body)),
            ("GZIP", gzip(&body)),
            ("deflate", deflate(&body)),
            ("identity", body.clone().into()),
        ] {
            assert_eq!(decompress(encoding, &compressed, 1000).unwrap(), body, "{encoding}");
            assert_eq!(
                decompress(encoding, &compressed, 999),
                Err(DecompressError::TooLarge { limit: 999 }),
                "{encoding}"
            );
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(decompress("gzip", &bomb, 1_000_000).unwrap_err().status(), 413);
    }

    #[test]
    fn broken_bodies_are_refused() {
        let body = b"some text that is long enough to be cut, some text that is long enough to be cut".repeat(9);
        for (encoding, whole) in [("gzip", gzip(&body)), ("deflate", deflate(&body))] {
            for length in 0..whole.len() {
                let cut = whole.slice(..length);
                assert_eq!(decompress(encoding, &cut, 10_000).unwrap_err().status(), 400, "{encoding} cut at {length}");
            }
            let longer = Bytes::from([&whole[..], b"x"].concat());
            assert_eq!(decompress(encoding, &longer, 10_000).unwrap_err().status(), 400, "{encoding} and more");
        }
    }

    #[test]
    fn unknown_encodings_are_refused() {
        for encoding in ["br", "gzip, deflate", "zstd"] {
            let error = decompress(encoding, &Bytes::new(), 10).unwrap_err();
            assert_eq!(error.status(), 415, "{encoding}");
            assert_eq!(
                error.to_string(),
                format!("unknown Content-Encoding {encoding:?}, expected gzip, deflate or identity")
            );
        }
    }
}
