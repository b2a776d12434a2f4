//! Files that manifests name: where they are, and whether they are the ones that were meant.

use crate::{Artifact, Origin};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl Artifact {
    /// The ConfigMap and the key of a `configmap://` artifact.
    pub fn config_map(&self) -> Option<(&str, &str)> {
        self.uri.as_str().strip_prefix("configmap://")?.split_once('/')
    }

    /// The file of local mode. Of a `file://` URI, relative to the manifest it stands in; of another one, which is for clusters, a copy
    /// of the same name beside the manifest, so that one manifest works in both.
    ///
    /// # Errors
    /// There is no such copy; in words, with its path.
    pub fn file(&self, origin: &Origin) -> Result<PathBuf, String> {
        let (uri, folder) = (self.uri.as_str(), origin.file.parent().unwrap_or(Path::new("")));
        if let Some(path) = uri.strip_prefix("file://") {
            return Ok(folder.join(path));
        }
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        let copy = folder.join(path.rsplit('/').next().unwrap_or_default());
        match copy.is_file() {
            true => Ok(copy),
            false => Err(format!(
                "\"{uri}\" is for clusters; local mode takes a copy of it beside the manifest, and there is no {}",
                copy.display()
            )),
        }
    }

    /// Whether the file is there and has the SHA-256 that the manifest gives.
    pub fn verify(&self, file: &Path) -> Result<(), String> {
        let mut opened = fs::File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut hasher = Sha256::new();
        match io::copy(&mut opened, &mut Write(&mut hasher)) {
            Err(error) => return Err(format!("{}: {error}", file.display())),
            Ok(_) if self.sha256.is_none() => return Ok(()),
            Ok(_) => {}
        }
        let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        match &self.sha256 {
            Some(want) if want.as_str() != found => {
                Err(format!("{} has SHA-256 {found}, the manifest says {want}", file.display()))
            }
            _ => Ok(()),
        }
    }
}

struct Write<'a>(&'a mut Sha256);

impl io::Write for Write<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
