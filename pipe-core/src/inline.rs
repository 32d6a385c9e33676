//! Whether a document may hold secrets itself.

use std::cell::Cell;

use serde::de;

thread_local! {
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Deserializes with secrets in the document itself refused: a [`SecretSource`](crate::SecretSource)
/// of the form `{ value = "…" }`, and every [`SecretValue`](crate::SecretValue).
///
/// For whoever loads a document that is not marked `development = true`. It holds for what is
/// deserialized on this thread before `deserialize` returns.
///
/// ```
/// use pipe_core::{SecretSource, without_inline_secrets};
///
/// let parse = |json| without_inline_secrets(|| serde_json::from_str::<SecretSource>(json));
/// assert!(parse(r#"{ "env": "BAO_TOKEN" }"#).is_ok());
/// assert!(parse(r#"{ "value": "s3cr3t" }"#).is_err());
/// ```
pub fn without_inline_secrets<T>(deserialize: impl FnOnce() -> T) -> T {
    /// Restores on unwinding too: a thread of a pool goes on after a panic.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            REFUSED.set(self.0);
        }
    }
    let _restore = Restore(REFUSED.replace(true));
    deserialize()
}

/// Refuses where secrets are; `instead` is what belongs there.
pub(crate) fn check<E: de::Error>(instead: &'static str) -> Result<(), E> {
    if !REFUSED.get() {
        return Ok(());
    }
    let found = de::Unexpected::Other("a secret in the document itself");
    let expected = format!("{instead}; for development, mark the document `development = true`");
    Err(E::invalid_value(found, &&*expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretSource, SecretValue};

    fn refused<T: de::DeserializeOwned>(json: &str) -> bool {
        without_inline_secrets(|| serde_json::from_str::<T>(json)).is_err()
    }

    #[test]
    fn a_secret_in_the_document_is_refused_and_a_reference_is_not() {
        assert!(refused::<SecretSource>(r#"{"value":"hunter2"}"#));
        assert!(refused::<SecretValue>(r#""hunter2""#));
        assert!(!refused::<SecretSource>(r#"{"env":"A"}"#));
        assert!(!refused::<SecretSource>(r#"{"file":"/a"}"#));
    }

    #[test]
    fn the_refusal_names_the_ways_out_and_no_value() {
        let json = r#"{"value":"hunter2"}"#;
        let error = without_inline_secrets(|| serde_json::from_str::<SecretSource>(json));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`env` or `file`") && error.contains("development = true"));
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn it_ends_with_the_call_and_nests() {
        without_inline_secrets(|| {
            without_inline_secrets(|| ());
            assert!(serde_json::from_str::<SecretValue>(r#""a""#).is_err());
        });
        assert!(serde_json::from_str::<SecretValue>(r#""a""#).is_ok());
    }

    #[test]
    fn it_ends_with_a_panic_too() {
        let panicked = std::panic::catch_unwind(|| without_inline_secrets(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert!(serde_json::from_str::<SecretValue>(r#""a""#).is_ok());
    }
}
