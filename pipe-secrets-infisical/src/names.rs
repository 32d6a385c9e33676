//! Which folder a secret is, and which keys Infisical keeps as they are.

use pipe_core::{Error, ErrorKind, Result, SecretName};

/// Folders may not have a dot in their names.
const DOT: &str = "_dot_";
/// The server's router takes no longer name in a path.
const MAX_KEY: usize = 100;
const MAX_WORD: usize = 64;
/// The server's database has room for no longer name of a folder.
const MAX_FOLDER: usize = 255;

/// The path of the folder that holds a secret: its name below `base`, with `_dot_` for each dot.
///
/// # Errors
/// `InvalidArgument` for a name that would then be the folder of another.
pub(crate) fn folder(base: &str, name: &SecretName) -> Result<String> {
    let folders = name.as_str().replace('.', DOT);
    let path = [base, "/", &folders].concat();
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

/// The secret that a folder below `base` holds; `None` for folders that are none of a secret.
pub(crate) fn name_of(base: &str, path: &str) -> Option<SecretName> {
    let below = path.strip_prefix(base)?.strip_prefix('/')?;
    SecretName::new(below.replace(DOT, ".")).ok()
}

/// Refuses a key that Infisical does not take, or could not be asked for by.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let fault = match key {
        "" => "the key is empty",
        "." | ".." => "the key is a way through folders",
        _ if key.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            "the key has white space or control characters in it"
        }
        _ if key.contains(['/', ':', '\u{feff}']) => "the key has `/` or `:` in it",
        _ if encoded_length(key) > MAX_KEY => "the key is longer than 100 bytes in a URL",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidArgument, fault)
        .with("key", format_args!("{key:?}"))
        .hint("use letters, digits, `_`, `-` and `.`"))
}

/// Whether this can be a project's id or an environment's slug.
pub(crate) fn is_word(word: &str) -> bool {
    (1..=MAX_WORD).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn encoded_length(key: &str) -> usize {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.~".contains(&b);
    key.bytes().map(|b| if plain(b) { 1 } else { 3 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_that_of_one_name() {
        for base in ["", "/bots"] {
            for name in ["a", "apps/db", "a.b", "..a", "a..", "a_b-c", "_dot", "dot_", "x_dot/y"] {
                let name = SecretName::new(name).unwrap();
                let path = folder(base, &name).unwrap();
                assert!(!path.contains('.'), "{path}");
                assert_eq!(name_of(base, &path), Some(name), "{path}");
            }
            let long = "x".repeat(256);
            let dots = format!("{}a", "a.".repeat(50));
            for name in ["a_dot_b", "_dot._", "a/_dot_", &long, &dots] {
                let error = folder(base, &SecretName::new(name).unwrap()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
            }
        }
        assert_eq!(name_of("/bots", "/bots-old/db"), None);
        assert_eq!(name_of("", "/"), None);
    }

    #[test]
    fn a_key_that_would_be_changed_or_lost_is_refused() {
        let long = "k".repeat(101);
        let wide = "密".repeat(12);
        for key in ["", ".", "..", "a b", "a\tb", "a/b", "a:b", "a\n", " a", &long, &wide] {
            assert_eq!(check_key(key).unwrap_err().kind(), ErrorKind::InvalidArgument, "{key:?}");
        }
        for key in ["A", "a.b", "ä", "密码", "a?b#c%d", "a=b", "$a", &long[1..], &wide[3..]] {
            assert!(check_key(key).is_ok(), "{key:?}");
        }
    }
}
