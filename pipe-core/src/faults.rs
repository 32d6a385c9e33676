//! What is wrong with settings, all of it at once.

use std::borrow::Cow;

use crate::{Error, ErrorKind, Result};

/// Collects what is wrong with settings, for constructors that report every fault and not only the
/// first.
///
/// In the error, each faulty setting is a piece of [context](Error::contexts), with what is wrong
/// about it, so that whoever loaded the settings from a document can say where in it they stand. A
/// setting inside of others is written as its path: `issuers[0].leeway`.
///
/// ```
/// use pipe_core::ConfigFaults;
///
/// let mut faults = ConfigFaults::new();
/// faults.add("page_size", "must be at least 1");
/// let namespace = faults.keep("namespace", pipe_core::Namespace::new("a b"));
/// assert!(namespace.is_none());
/// let error = faults.into_error();
/// assert_eq!(error.context("page_size"), Some("must be at least 1"));
/// assert_eq!(error.hint_text(), "correct page_size, namespace");
/// ```
#[derive(Debug, Default)]
pub struct ConfigFaults(Vec<(Cow<'static, str>, String)>);

impl ConfigFaults {
    /// Nothing is wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This setting is wrong. The refused value is no part of what is said about it.
    pub fn add(&mut self, setting: impl Into<Cow<'static, str>>, fault: impl Into<String>) {
        self.0.push((setting.into(), fault.into()));
    }

    /// This setting is wrong unless the condition holds.
    pub fn require(
        &mut self,
        condition: bool,
        setting: impl Into<Cow<'static, str>>,
        fault: impl Into<String>,
    ) {
        if !condition {
            self.add(setting, fault);
        }
    }

    /// The value of a setting, or what is wrong with it: the error's message and hint, without its
    /// context, which may have the refused value in it.
    pub fn keep<T>(
        &mut self,
        setting: impl Into<Cow<'static, str>>,
        result: Result<T>,
    ) -> Option<T> {
        let fault = |error: Error| format!("{}; {}", error.message(), error.hint_text());
        result.map_err(|error| self.add(setting, fault(error))).ok()
    }

    /// What was made of the settings below `prefix`, or the faults that were collected there: each
    /// piece of context names one. An error without context is about all of them.
    pub fn keep_below<T>(&mut self, prefix: &str, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        if error.contexts().len() == 0 {
            self.add(prefix.to_owned(), error.message());
        }
        for (setting, fault) in error.contexts() {
            self.add(format!("{prefix}.{setting}"), fault);
        }
        None
    }

    /// The error about one setting alone, for the reason that another error gives.
    #[must_use]
    pub fn about(setting: impl Into<Cow<'static, str>>, reason: Error) -> Error {
        let mut faults = Self::new();
        let _ = faults.keep::<()>(setting, Err(reason));
        faults.into_error()
    }

    /// How many faults there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `ConfigInvalid` with the first sixteen faults, and all of them named in the hint.
    #[must_use]
    pub fn into_error(self) -> Error {
        let settings: Vec<_> = self.0.iter().map(|(setting, _)| &**setting).collect();
        let hint = format!("correct {}", settings.join(", "));
        let error = Error::new(ErrorKind::ConfigInvalid, "the settings are not usable");
        let named = |error: Error, (setting, fault)| error.with(setting, fault);
        self.0.into_iter().fold(error, named).hint(hint)
    }

    /// Whether the settings can be used.
    ///
    /// # Errors
    /// As [`into_error`](Self::into_error), when anything is wrong.
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_value_is_not_repeated() {
        let mut faults = ConfigFaults::new();
        let refused = Error::new(ErrorKind::ConfigInvalid, "is no address")
            .with("address", "https://bot:hunter2@x")
            .hint("write https://host");
        assert!(faults.keep::<()>("address", Err(refused)).is_none());
        let error = faults.into_error();
        assert_eq!(error.context("address"), Some("is no address; write https://host"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn faults_of_inner_settings_keep_their_place() {
        let mut inner = ConfigFaults::new();
        inner.add("timeout", "must be more than zero");
        let mut faults = ConfigFaults::new();
        assert!(faults.keep_below::<()>("issuers[1].http", Err(inner.into_error())).is_none());
        let whole = Error::new(ErrorKind::ConfigInvalid, "cannot be used");
        assert!(faults.keep_below::<()>("client", Err(whole)).is_none());
        let error = faults.into_error();
        assert_eq!(error.context("issuers[1].http.timeout"), Some("must be more than zero"));
        assert_eq!(error.context("client"), Some("cannot be used"));
    }

    #[test]
    fn no_fault_is_no_error() {
        let faults = ConfigFaults::new();
        assert!(faults.is_empty() && faults.into_result().is_ok());
    }
}
