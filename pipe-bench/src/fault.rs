//! Why something could not be measured.

use std::fmt;

/// A sentence for whoever runs the measurement. Every error becomes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    /// In these words.
    #[must_use]
    pub fn new(fault: impl Into<String>) -> Self {
        Self(fault.into())
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
