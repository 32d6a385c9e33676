//! Which folder a secret is, and which keys Infisical keeps as they are.

use pipe_core::pod::{infisical_folder, secret_of_infisical_folder};
use pipe_core::{Error, ErrorKind, Result, SecretName};

/// The server's router takes no longer name in a path.
const MAX_KEY: usize = 100;
const MAX_WORD: usize = 64;

/// The path of the folder that holds a secret, below `base`.
pub(crate) fn folder(base: &str, name: &SecretName) -> Result<String> {
    Ok([base, &infisical_folder(name)?].concat())
}

/// The secret that a folder below `base` holds; `None` for folders that are none of a secret.
pub(crate) fn name_of(base: &str, path: &str) -> Option<SecretName> {
    secret_of_infisical_folder(path.strip_prefix(base)?)
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
    fn folders_are_below_their_base() {
        let name = SecretName::new("apps/db.main").unwrap();
        assert_eq!(folder("", &name).unwrap(), "/apps/db_dot_main");
        assert_eq!(folder("/bots", &name).unwrap(), "/bots/apps/db_dot_main");
        assert_eq!(name_of("/bots", "/bots/apps/db_dot_main"), Some(name));
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
