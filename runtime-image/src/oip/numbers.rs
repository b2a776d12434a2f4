//! The `data` of an input: nested or flat lists of numbers, read into one run of little-endian `f32`.

use super::json::Cursor;
use super::{BadRequest, number};

/// How far lists may nest and how many numbers may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Deepest nesting.
    pub(super) depth: usize,
    /// Numbers that are expected, for the first reservation; 0 when unknown.
    pub(super) expected: usize,
    /// Most numbers.
    pub(super) most: usize,
}

/// Numbers in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Little-endian `f32`.
    pub(super) bytes: Vec<u8>,
    /// `true` or `false` was among them.
    pub(super) booleans: bool,
    /// A number was among them.
    pub(super) numbers: bool,
    /// A number with a fraction or an exponent was among them.
    pub(super) fractions: bool,
}

/// A list that is open, or the last that was at its depth.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Count of numbers when it was opened.
    start: usize,
    /// Numbers in the lists of this depth, once one has been closed.
    length: Option<usize>,
}

struct Reader<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    bounds: Bounds,
    levels: Vec<Level>,
    open: usize,
    /// Depth at which the first number stood; 0 before it.
    leaves: usize,
    read: Numbers,
}

impl Numbers {
    /// How many.
    pub(super) fn count(&self) -> usize {
        self.bytes.len() / size_of::<f32>()
    }

    /// Reads the list that comes next. Memory is reserved for what is expected, but never for more than the rest of
    /// the text can hold.
    pub(super) fn read(cursor: &mut Cursor<'_>, bounds: Bounds) -> Result<Self, BadRequest> {
        // A number and what separates it from the next take two bytes.
        let possible = cursor.rest().len() / 2 + 1;
        let bytes = Vec::with_capacity(bounds.expected.min(bounds.most).min(possible) * size_of::<f32>());
        let levels = vec![Level::default(); bounds.depth + 1];
        let read = Numbers { bytes, ..Numbers::default() };
        Reader { cursor, bounds, levels, open: 0, leaves: 0, read }.lists()
    }
}

impl Reader<'_, '_> {
    fn lists(mut self) -> Result<Numbers, BadRequest> {
        if self.cursor.peek() != Some(b'[') {
            return Err(self.cursor.error("\"data\": expected a list"));
        }
        loop {
            if self.cursor.peek() == Some(b'[') {
                self.enter()?;
                if self.cursor.peek() != Some(b']') {
                    continue;
                }
            } else {
                self.leaf()?;
            }
            if self.leave_all()? {
                return Ok(self.read);
            }
        }
    }

    /// Closes the lists that end here; true if that was the outermost, false after a comma.
    #[inline]
    fn leave_all(&mut self) -> Result<bool, BadRequest> {
        loop {
            match self.cursor.peek() {
                Some(b',') => {
                    self.cursor.advance(1);
                    return Ok(false);
                }
                Some(b']') => self.leave()?,
                _ => return Err(self.cursor.error("\"data\": expected \",\" or \"]\"")),
            }
            if self.open == 0 {
                return Ok(true);
            }
        }
    }

    fn enter(&mut self) -> Result<(), BadRequest> {
        self.cursor.advance(1);
        self.open += 1;
        if self.open > self.bounds.depth {
            return Err(self.cursor.error(&format!("\"data\": lists nest deeper than {} axes", self.bounds.depth)));
        }
        self.levels[self.open].start = self.read.count();
        Ok(())
    }

    fn leave(&mut self) -> Result<(), BadRequest> {
        self.cursor.advance(1);
        let count = self.read.count();
        let level = &mut self.levels[self.open];
        let length = count - level.start;
        if *level.length.get_or_insert(length) != length {
            return Err(self.cursor.error("\"data\": lists of one depth differ in length, before"));
        }
        self.open -= 1;
        Ok(())
    }

    #[inline]
    fn leaf(&mut self) -> Result<(), BadRequest> {
        if self.leaves != self.open {
            self.first_leaf()?;
        }
        let value = match self.cursor.peek() {
            Some(b't') if self.cursor.rest().starts_with(b"true") => self.boolean(1.0, 4),
            Some(b'f') if self.cursor.rest().starts_with(b"false") => self.boolean(0.0, 5),
            _ => self.number()?,
        };
        if self.read.count() >= self.bounds.most {
            return Err(self.cursor.error(&format!("\"data\": more than {} values", self.bounds.most)));
        }
        self.read.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn first_leaf(&mut self) -> Result<(), BadRequest> {
        if self.leaves != 0 {
            return Err(self.cursor.error("\"data\": numbers and lists are mixed"));
        }
        self.leaves = self.open;
        Ok(())
    }

    fn boolean(&mut self, value: f32, length: usize) -> f32 {
        self.cursor.advance(length);
        self.read.booleans = true;
        value
    }

    #[inline]
    fn number(&mut self) -> Result<f32, BadRequest> {
        let number =
            number::read(self.cursor.rest()).ok_or_else(|| self.cursor.error("\"data\": expected a number"))?;
        if !number.value.is_finite() {
            return Err(self.cursor.error("\"data\": expected a finite number"));
        }
        self.cursor.advance(number.length);
        self.read.numbers = true;
        self.read.fractions |= !number.integer;
        Ok(number.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 3, expected: 0, most: 8 };

    fn check(text: &str, want: Result<&[f32], &str>) {
        let read = Numbers::read(&mut Cursor::new(text.as_bytes()), BOUNDS);
        let values = read.map(|read| {
            read.bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect::<Vec<_>>()
        });
        assert_eq!(values.as_deref().map_err(|error| error.0.as_str()), want, "{text}");
    }

    #[test]
    fn lists_are_flattened() {
        for text in ["[1,2,3,4]", "[[1,2],[3,4]]", " [ [ 1 , 2 ] ,\n[ 3 , 4 ] ] ", "[[[1,2]],[[3,4]]]", "[[1,2,3,4]]"] {
            check(text, Ok(&[1.0, 2.0, 3.0, 4.0]));
        }
        check("[]", Ok(&[]));
        check("[[],[]]", Ok(&[]));
        check("[true,false,1.5]", Ok(&[1.0, 0.0, 1.5]));
    }

    #[test]
    fn what_is_no_tensor_is_refused_with_its_place() {
        for (text, want) in [
            ("1", "\"data\": expected a list at byte 0"),
            ("[1,2", "\"data\": expected \",\" or \"]\" at byte 4, where the JSON ends"),
            ("[1,]", "\"data\": expected a number at byte 3"),
            ("[,1]", "\"data\": expected a number at byte 1"),
            ("[1 2]", "\"data\": expected \",\" or \"]\" at byte 3"),
            ("[[1,2],[3]]", "\"data\": lists of one depth differ in length, before at byte 10"),
            ("[1,[2]]", "\"data\": numbers and lists are mixed at byte 4"),
            ("[[[[1]]]]", "\"data\": lists nest deeper than 3 axes at byte 4"),
            ("[NaN]", "\"data\": expected a number at byte 1"),
            ("[1e39]", "\"data\": expected a finite number at byte 1"),
            ("[null]", "\"data\": expected a number at byte 1"),
            ("[\"a\"]", "\"data\": expected a number at byte 1"),
            ("[1,2,3,4,5,6,7,8,9]", "\"data\": more than 8 values at byte 18"),
        ] {
            check(text, Err(want));
        }
    }

    #[test]
    fn a_large_expectation_reserves_no_more_than_the_text_can_hold() {
        let bounds = Bounds { depth: 1, expected: usize::MAX / 8, most: usize::MAX / 8 };
        let read = Numbers::read(&mut Cursor::new(b"[1,2]"), bounds).unwrap();
        assert!(read.bytes.capacity() <= 12, "{}", read.bytes.capacity());
    }
}
