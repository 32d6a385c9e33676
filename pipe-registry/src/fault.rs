//! What is wrong with a document.

use std::fmt;

use pipe_core::{Error, ErrorKind};

/// Everything that is wrong with a document, at least one fault.
///
/// `Display` has one line for each. No value of the document is in it, nor a key that is not the
/// name of a setting or of an instance: what stands in a wrong place may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    place: String,
    message: String,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The faults, in the order in which they were found.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }
}

impl Fault {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    /// Where: names joined by dots, such as `secrets.main.settings.auth.role`; `document` for the
    /// document as a whole. A name that is not known is `*`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}

/// `ConfigInvalid` with the first sixteen faults as context.
impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        let count = faults.0.len();
        let places: Vec<_> = faults.iter().map(Fault::place).collect();
        let hint = format!("correct {}", places.join(", "));
        let error = Self::new(ErrorKind::ConfigInvalid, "the document is not usable");
        let error = if count > 1 { error.with("faults", count) } else { error };
        faults.iter().fold(error, |error, fault| error.with("fault", fault)).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_every_place() {
        let faults = Faults(vec![Fault::new("secrets.a", "x"), Fault::new("secrets.b", "y")]);
        assert_eq!(faults.to_string(), "secrets.a: x\nsecrets.b: y");
        let error = Error::from(faults);
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.hint_text(), "correct secrets.a, secrets.b");
        assert!(error.to_string().contains("fault=secrets.b: y"), "{error}");
    }
}
