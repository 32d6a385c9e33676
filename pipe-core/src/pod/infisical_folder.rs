//! Which folder of Infisical a secret is.

use crate::{Error, ErrorKind, Result, SecretName};

/// Folders may not have a dot in their names.
const DOT: &str = "_dot_";
/// The server's database has room for no longer name of a folder.
const MAX_FOLDER: usize = 255;

/// The path of the folder that is a secret in Infisical: its name, with `_dot_` for each dot. The plugin and the
/// operators' manifests agree on it.
///
/// ```
/// use pipe_core::{SecretName, pod};
///
/// assert_eq!(pod::infisical_folder(&SecretName::new("apps/db.main")?)?, "/apps/db_dot_main");
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` for a name that would then be the folder of another, and for one of which a part is
/// longer than 255 bytes.
pub fn infisical_folder(name: &SecretName) -> Result<String> {
    let folders = name.as_str().replace('.', DOT);
    let path = ["/", &folders].concat();
    if let Some(long) = path.split('/').find(|folder| folder.len() > MAX_FOLDER) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a part of the name is too long")
            .with("secret", name)
            .with("bytes", long.len())
            .with("limit", MAX_FOLDER)
            .hint("use shorter names: each part is a folder, with five characters for a dot"));
    }
    if folders.replace(DOT, ".") == name.as_str() {
        return Ok(path);
    }
    Err(Error::new(ErrorKind::InvalidArgument, "the name cannot be told from one with a dot")
        .with("secret", name)
        .hint("leave `_dot_` out of the name: it stands for a dot in the names of folders"))
}

/// The path of a secret's folder below another, which is called as the plugin's setting `folder` calls it.
pub(super) fn infisical_path(folder: Option<&str>, name: &SecretName) -> Result<String> {
    let path = infisical_folder(name)?;
    match folder.map(|folder| folder.trim_matches('/')).filter(|folder| !folder.is_empty()) {
        None => Ok(path),
        Some(folder) => {
            let folder = SecretName::new(folder).and_then(|name| infisical_folder(&name));
            let folder = folder.map_err(|error| error.with("setting", "folder"))?;
            Ok(folder + &path)
        }
    }
}

/// The secret that a folder is; `None` for a folder that is none of a secret.
#[must_use]
pub fn secret_of_infisical_folder(path: &str) -> Option<SecretName> {
    SecretName::new(path.strip_prefix('/')?.replace(DOT, ".")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_that_of_one_name() {
        for name in ["a", "apps/db", "a.b", "..a", "a..", "a_b-c", "_dot", "dot_", "x_dot/y"] {
            let name = SecretName::new(name).unwrap();
            let path = infisical_folder(&name).unwrap();
            assert!(!path.contains('.'), "{path}");
            assert_eq!(secret_of_infisical_folder(&path), Some(name), "{path}");
        }
        let name = SecretName::new("db").unwrap();
        for (folder, path) in [
            (None, "/db"),
            (Some("/"), "/db"),
            (Some("bots"), "/bots/db"),
            (Some("/a/b/"), "/a/b/db"),
        ] {
            assert_eq!(infisical_path(folder, &name).unwrap(), path);
        }
        let error = infisical_path(Some("a//b"), &name).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
        let long = "x".repeat(256);
        let dots = format!("{}a", "a.".repeat(50));
        for name in ["a_dot_b", "_dot._", "a/_dot_", &long, &dots] {
            let error = infisical_folder(&SecretName::new(name).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        }
        assert_eq!(secret_of_infisical_folder("/"), None);
    }
}
