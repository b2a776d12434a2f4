//! A position in a JSON text that walks objects and lists by hand and leaves their leaves to serde.
//!
//! Requests are mostly one long list of numbers, which [`super::numbers`] reads without going through serde.

use super::{BadRequest, quoted};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Reads a JSON text from its start to its end.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string that borrows from the text unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Steps over bytes of [`Cursor::rest`].
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The next byte that is not space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Steps over `byte` if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over `null` if it comes next; clients write it for what they leave out.
    pub(super) fn take_null(&mut self) -> bool {
        let found = self.peek() == Some(b'n') && self.rest().starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// An error about what comes next.
    pub(super) fn error(&self, message: &str) -> BadRequest {
        match self.text.get(self.at) {
            Some(_) => BadRequest(format!("{message} at byte {}", self.at)),
            None => BadRequest(format!("{message} at byte {}, where the JSON ends", self.at)),
        }
    }

    /// Reads a value that serde knows; `what` names it in errors.
    pub(super) fn value<T: Deserialize<'a>>(&mut self, what: &str) -> Result<T, BadRequest> {
        let rest = self.rest();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) => {
                self.at += offset(rest, &error);
                Err(self.error(&format!("{what}: {}", reason(&error))))
            }
            None => Err(self.error(&format!("{what}: expected a value"))),
        }
    }

    /// Steps over a value of any kind, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), BadRequest> {
        self.value::<IgnoredAny>("JSON").map(|_| ())
    }

    /// Reads an object; `field` reads the value of each name.
    pub(super) fn object(
        &mut self,
        what: &str,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), BadRequest>,
    ) -> Result<(), BadRequest> {
        self.sequence(what, "an object", [b'{', b'}'], |cursor| {
            let Text(name) = cursor.value(what)?;
            if !cursor.take(b':') {
                return Err(cursor.error(&format!("{what}: expected \":\" after {}", quoted(&name))));
            }
            field(cursor, &name)
        })
    }

    /// Reads a list; `element` reads each of its elements.
    pub(super) fn list(
        &mut self,
        what: &str,
        element: impl FnMut(&mut Self) -> Result<(), BadRequest>,
    ) -> Result<(), BadRequest> {
        self.sequence(what, "a list", [b'[', b']'], element)
    }

    fn sequence(
        &mut self,
        what: &str,
        kind: &str,
        [open, close]: [u8; 2],
        mut element: impl FnMut(&mut Self) -> Result<(), BadRequest>,
    ) -> Result<(), BadRequest> {
        if !self.take(open) {
            return Err(self.error(&format!("{what}: expected {kind}")));
        }
        if self.take(close) {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.error(&format!("{what}: expected \",\" or {:?}", char::from(close))));
            }
        }
    }

    /// Refuses anything but space after the value that was read.
    pub(super) fn end(&mut self) -> Result<(), BadRequest> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("expected the end of the JSON")),
        }
    }
}

/// Bytes before the place that serde complains about.
fn offset(text: &[u8], error: &serde_json::Error) -> usize {
    let before: usize = text.split_inclusive(|byte| *byte == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}

/// serde's message without its line and column, which count from the start of the value, and of bounded length.
fn reason(error: &serde_json::Error) -> String {
    const LONGEST: usize = 160;
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    message.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let mut cursor = Cursor::new(text.as_bytes());
        let read = cursor.object("request", |cursor, _| cursor.value::<u64>("number").map(|_| ()));
        let error = read.and_then(|()| cursor.end()).unwrap_err();
        assert_eq!(error.0, want, "{text:?}");
    }

    #[test]
    fn an_error_says_what_was_expected_and_where() {
        for (text, want) in [
            ("", "request: expected an object at byte 0, where the JSON ends"),
            ("[]", "request: expected an object at byte 0"),
            ("{\"a\" 1}", "request: expected \":\" after \"a\" at byte 5"),
            ("{\"a\":1", "request: expected \",\" or '}' at byte 6, where the JSON ends"),
            ("{\"a\":\n\n  -1}", "number: invalid value: integer `-1`, expected u64 at byte 10"),
            ("{\"a\":1} x", "expected the end of the JSON at byte 8"),
        ] {
            check(text, want);
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let depth = 1_000_000;
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip().unwrap();
        cursor.end().unwrap();
    }

    #[test]
    fn escaped_names_are_read() {
        let mut names = Vec::new();
        Cursor::new(br#"{"\u0069d": 1, "b": [2]}"#)
            .object("request", |cursor, name| {
                names.push(name.to_owned());
                cursor.skip()
            })
            .unwrap();
        assert_eq!(names, ["id", "b"]);
    }
}
