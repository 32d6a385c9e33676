//! What is wrong with the settings, all of it at once.

use pipe_core::{Error, ErrorKind, Result};

/// Collects faults.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(&'static str, String)>);

impl Faults {
    pub(crate) fn add(&mut self, setting: &'static str, fault: impl Into<String>) {
        self.0.push((setting, fault.into()));
    }

    /// Without the error's context, which has the refused value in it.
    pub(crate) fn keep<T>(&mut self, setting: &'static str, result: Result<T>) -> Option<T> {
        let fault = |error: Error| format!("{}; {}", error.message(), error.hint_text());
        result.map_err(|error| self.add(setting, fault(error))).ok()
    }

    /// Each fault of `http` that names one of its settings.
    pub(crate) fn keep_http<T>(&mut self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        if error.contexts().len() == 0 {
            self.add("http", error.message());
        }
        for (name, fault) in error.contexts() {
            let full = HTTP.iter().find(|full| full.rsplit('.').next() == Some(name));
            self.add(full.unwrap_or(&name), fault);
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_error(self) -> Error {
        let settings: Vec<_> = self.0.iter().map(|(setting, _)| *setting).collect();
        let hint = format!("correct {}", settings.join(", "));
        let error = Error::new(ErrorKind::ConfigInvalid, "the settings are not usable");
        self.0
            .into_iter()
            .fold(error, |error, (setting, fault)| error.with(setting, fault))
            .hint(hint)
    }
}

/// The settings of `http` that can be wrong.
const HTTP: &[&str] = &[
    "http.connect_timeout",
    "http.timeout",
    "http.max_body",
    "http.ca",
    "http.client_certificate",
    "http.proxy",
    "http.user_agent",
];
