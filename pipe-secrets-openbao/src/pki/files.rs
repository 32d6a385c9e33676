//! A certificate on disk, as the kubelet puts secrets there: readers see all of the old files or
//! all of the new ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as Io, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;

use pipe_core::{Error, ErrorKind, Result};

use crate::pki::certificate::IssuedCertificate;

/// The link to the version that counts. Its name begins with dots as the kubelet's does, so that
/// readers of the whole directory know to pass it over.
const CURRENT: &str = "..data";
const VERSION: &str = "..version-";
const NAMES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// Writes the certificate, its key and its topmost authority.
pub(super) fn write(directory: &Path, issued: &IssuedCertificate) -> Result<()> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory => {
                ErrorKind::ConfigInvalid
            }
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "the certificate cannot be written")
            .with("directory", directory.display())
            .with("reason", error.kind())
            .hint("let the program create files in the directory, and let there be room for them")
    };
    fs::create_dir_all(directory).map_err(failed)?;
    if let Some(name) = foreign_file(directory).map_err(failed)? {
        return Err(Error::new(ErrorKind::Conflict, "a file stands where the certificate belongs")
            .with("directory", directory.display())
            .with("file", name)
            .hint("give the certificate a directory of its own"));
    }
    switch(directory, issued).map_err(failed)
}

/// A file of somebody else with the name of one of ours.
fn foreign_file(directory: &Path) -> io::Result<Option<&'static str>> {
    for name in NAMES {
        match fs::symlink_metadata(directory.join(name)) {
            Ok(found) if !found.is_symlink() => return Ok(Some(name)),
            Ok(_) if fs::read_link(directory.join(name))? != Path::new(CURRENT).join(name) => {
                return Ok(Some(name));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn switch(directory: &Path, issued: &IssuedCertificate) -> io::Result<()> {
    let previous = fs::read_link(directory.join(CURRENT)).ok();
    let version = format!("{VERSION}{:016x}", fastrand::u64(..));
    let written = write_version(&directory.join(&version), issued).and_then(|()| {
        let link = directory.join(format!("{version}.link"));
        symlink(&version, &link)?;
        fs::rename(&link, directory.join(CURRENT)).inspect_err(|_| drop(fs::remove_file(&link)))
    });
    if let Err(error) = written {
        drop(fs::remove_dir_all(directory.join(&version)));
        return Err(error);
    }
    for name in NAMES {
        match symlink(Path::new(CURRENT).join(name), directory.join(name)) {
            Err(error) if error.kind() != Io::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    File::open(directory)?.sync_all()?;
    // The previous one stays for those who are just reading it.
    let kept = [Some(Path::new(&version)), previous.as_deref()];
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let is_version = name.to_str().is_some_and(|name| name.starts_with(VERSION));
        if is_version && !kept.contains(&Some(Path::new(&name))) {
            // What is left behind here goes with the next one.
            let path = entry.path();
            drop(if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir_all(path) });
        }
    }
    Ok(())
}

fn write_version(version: &Path, issued: &IssuedCertificate) -> io::Result<()> {
    fs::create_dir(version)?;
    let certificate = issued.certificate();
    create(&version.join("tls.crt"), 0o644, &[certificate.bundle_pem().as_bytes()])?;
    create(&version.join("tls.key"), 0o600, &[issued.private_key().expose().trim_ascii(), b"\n"])?;
    create(&version.join("ca.crt"), 0o644, &[certificate.authority_pem().as_bytes(), b"\n"])?;
    File::open(version)?.sync_all()
}

fn create(path: &Path, mode: u32, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::pki::certificate::tests::Authority;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let name = format!("pipe-pki-{}-{:x}", std::process::id(), fastrand::u64(..));
            Self(std::env::temp_dir().join(name))
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }

        fn versions(&self) -> usize {
            let entries = fs::read_dir(&self.0).unwrap().flatten();
            entries.filter(|e| e.file_name().to_string_lossy().starts_with(VERSION)).count()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_three_files_change_together_and_the_key_is_for_its_owner() {
        let (authority, directory) = (Authority::new(), Directory::new());
        for round in 0..4 {
            let issued = authority.issue();
            write(&directory.0, &issued).unwrap();
            assert_eq!(directory.read("tls.crt"), issued.certificate().bundle_pem());
            let key = directory.read("tls.key");
            assert_eq!(key.trim().as_bytes(), issued.private_key().expose().trim_ascii());
            assert_eq!(directory.read("ca.crt").trim(), authority.pem().trim());
            let mode = fs::metadata(directory.0.join("tls.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(directory.versions(), if round == 0 { 1 } else { 2 });
        }
    }

    /// Whoever resolves the link once reads files of one version, or none when it was too slow.
    #[test]
    fn a_reader_never_sees_the_key_of_another_certificate() {
        let (authority, directory) = (Authority::new(), Directory::new());
        let issued: Vec<_> = (0..3).map(|_| authority.issue()).collect();
        write(&directory.0, &issued[0]).unwrap();
        let read = || -> io::Result<(String, String)> {
            let version = fs::canonicalize(directory.0.join(CURRENT))?;
            let certificate = fs::read_to_string(version.join("tls.crt"))?;
            Ok((certificate, fs::read_to_string(version.join("tls.key"))?))
        };
        let pairs = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..60 {
                    write(&directory.0, &issued[round % 3]).unwrap();
                }
            });
            let mut pairs = vec![read().unwrap()];
            while !writer.is_finished() {
                pairs.extend(read());
            }
            pairs
        });
        for (certificate, key) in pairs {
            let of = issued.iter().find(|one| one.certificate().bundle_pem() == certificate);
            let expected = of.expect("the certificate is whole").private_key().expose();
            assert_eq!(key.trim().as_bytes(), expected.trim_ascii());
        }
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let directory = Directory::new();
        fs::create_dir(&directory.0).unwrap();
        fs::write(directory.0.join("tls.key"), "theirs").unwrap();
        let error = write(&directory.0, &Authority::new().issue()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(directory.read("tls.key"), "theirs");
        assert_eq!(directory.versions(), 0);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let directory = Directory::new();
        fs::create_dir(&directory.0).unwrap();
        let file = directory.0.join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file.join("below"), &Authority::new().issue()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
        // Where the link belongs there is a directory: it cannot be replaced by a link.
        fs::create_dir_all(directory.0.join(CURRENT).join("x")).unwrap();
        write(&directory.0, &Authority::new().issue()).unwrap_err();
        assert_eq!(directory.versions(), 0);
    }
}
