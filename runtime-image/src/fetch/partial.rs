//! A file on its way: beside its place until it is whole and right.

use super::error::FetchError;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Hashed as it is written. What is not finished is removed.
#[derive(Debug)]
pub(super) struct Partial {
    to: PathBuf,
    beside: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
    limit: u64,
    finished: bool,
}

impl Partial {
    pub(super) fn create(to: &Path, limit: u64) -> Result<Self, FetchError> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = to.with_file_name(name);
        let file = File::create(&beside).map_err(|error| failed(&beside, error))?;
        Ok(Self { to: to.to_owned(), beside, file, hash: Sha256::new(), size: 0, limit, finished: false })
    }

    /// Bytes there are.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Refuses what is known to be too large before it comes.
    pub(super) fn announce(&self, size: u64) -> Result<(), FetchError> {
        if size > self.limit { Err(FetchError::Larger { size, limit: self.limit }) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let size = self.size + bytes.len() as u64;
        if size > self.limit {
            return Err(FetchError::Endless { limit: self.limit });
        }
        self.file.write_all(bytes).map_err(|error| failed(&self.beside, error))?;
        self.hash.update(bytes);
        self.size = size;
        Ok(())
    }

    /// From the first byte again.
    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| failed(&self.beside, error))?;
        self.hash = Sha256::new();
        self.size = 0;
        Ok(())
    }

    /// Held against the digest.
    pub(super) fn check(&self, expected: &str) -> Result<(), FetchError> {
        let found = hex(self.hash.clone());
        if found == expected { Ok(()) } else { Err(FetchError::Digest { expected: expected.to_owned(), found }) }
    }

    /// Puts the file into its place, at once and for good.
    pub(super) fn finish(mut self) -> Result<u64, FetchError> {
        let moved = self.file.sync_all().and_then(|()| std::fs::rename(&self.beside, &self.to));
        moved.map_err(|error| failed(&self.to, error))?;
        self.finished = true;
        Ok(self.size)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

/// The digest of a file.
pub(crate) fn digest(file: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(file)?, Sha256::new());
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hash)),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Read at once from a file.
pub(super) const CHUNK: usize = 64 * 1024;

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(file: &Path, source: io::Error) -> FetchError {
    let file = file.display().to_string();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            FetchError::NoSpace { file }
        }
        _ => FetchError::Write { file, source },
    }
}
