//! What users see, compared with files: `EENN_UPDATE_SNAPSHOTS=1 cargo test` writes them anew.

use std::path::Path;

/// Fails unless the file, relative to `cli/src`, holds the text.
pub(crate) fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    if std::env::var_os("EENN_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, want, "{file} is stale; look at the difference, then set EENN_UPDATE_SNAPSHOTS=1\n{text}");
}
