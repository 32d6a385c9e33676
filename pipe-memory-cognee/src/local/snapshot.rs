//! A memory in a file.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use pipe_core::memory::{DataPoint, Relation};
use pipe_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "pipe-memory/1";

/// All that a memory knows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Snapshot {
    format: String,
    pub(crate) points: Vec<DataPoint>,
    pub(crate) relations: Vec<Relation>,
}

impl Snapshot {
    pub(crate) fn new(points: Vec<DataPoint>, relations: Vec<Relation>) -> Self {
        Self { format: FORMAT.to_owned(), points, relations }
    }

    /// Replaces the file as a whole: whoever reads it, even after a crash, sees the old one or the
    /// new one. Of two who write at once, each writes to a file of its own first.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let unfinished = unfinished(path);
        let write = || {
            let mut file = BufWriter::new(File::create_new(&unfinished)?);
            serde_json::to_writer(&mut file, self).map_err(io::Error::from)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            fs::rename(&unfinished, path)?;
            sync_directory(path)
        };
        write().map_err(|error| {
            // It may not have been made, or have its name already; on a full disk it needs room.
            let _ = fs::remove_file(&unfinished);
            inaccessible(path, &error, "written")
        })
    }

    /// `None` when there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(inaccessible(path, &error, "read")),
        };
        let read: Option<Self> = serde_json::from_reader(BufReader::new(file)).ok();
        read.filter(|snapshot| snapshot.format == FORMAT).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the file is not one that a memory has written")
                .with("path", path.display())
                .hint("name another file, or move this one away")
        })
    }
}

/// How the names of files end that are not whole yet.
pub(crate) const UNFINISHED: &str = "unfinished";

/// The name of nobody else, beside the file.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.{UNFINISHED}", fastrand::u64(..)));
    name.into()
}

/// A new name is on the disk once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn inaccessible(path: &Path, error: &io::Error, what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the file cannot be {what}"))
        .with("path", path.display())
        .with("reason", error.kind())
        .hint("check that the directory exists, that it may be written, and that the disk has room")
}
