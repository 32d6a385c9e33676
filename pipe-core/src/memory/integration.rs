//! Integrations of two domains, and how they went.

use serde::{Deserialize, Serialize};

use super::MemoryKey;

/// An enum of words that others may add to: what it does not know is kept as it is.
macro_rules! open_words {
    ($(#[$docs:meta])* $name:ident { $($(#[$word_docs:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$word_docs])* $variant,)+
            /// Another word.
            Other(String),
        }

        impl $name {
            /// The word, as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use open_words;

open_words! {
    /// The way on which two domains are integrated.
    IntegrationPath {
        /// Each with the other, and nobody in between.
        Direct = "direct",
        /// Through a hub that both are integrated with.
        Hub = "hub",
        /// Through a mesh in which everybody reaches everybody.
        Mesh = "mesh",
    }
}

open_words! {
    /// What became of an integration.
    IntegrationStatus {
        /// Approved, and not built yet.
        Approved = "approved",
        /// It works.
        Connected = "connected",
        /// It was built, and does not work.
        Failed = "failed",
        /// Nobody has decided yet.
        Pending = "pending",
        /// It was not allowed.
        Rejected = "rejected",
    }
}

/// How an integration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It works.
    Success,
    /// It was rejected, or failed.
    Failure,
}

/// An integration of a source domain with a target domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Integration {
    /// What it is known by.
    pub key: MemoryKey,
    /// The key of the domain that data or calls come from.
    pub source: MemoryKey,
    /// The key of the domain that they go to.
    pub target: MemoryKey,
    /// The way on which they are integrated.
    pub path: IntegrationPath,
    /// What became of it.
    pub status: IntegrationStatus,
    /// What it is about, in words that a search finds.
    #[serde(default)]
    pub description: String,
    /// What made it succeed or fail, in a word or two each.
    #[serde(default)]
    pub factors: Vec<String>,
    /// How urgent it is, as its owners say.
    #[serde(default)]
    pub priority: Option<String>,
    /// Who approved it.
    #[serde(default)]
    pub approvers: Vec<String>,
}

impl Integration {
    /// A pending integration of these two domains.
    #[must_use]
    pub fn new(
        key: MemoryKey,
        source: MemoryKey,
        target: MemoryKey,
        path: IntegrationPath,
    ) -> Self {
        Self {
            key,
            source,
            target,
            path,
            status: IntegrationStatus::Pending,
            description: String::new(),
            factors: Vec::new(),
            priority: None,
            approvers: Vec::new(),
        }
    }

    /// What became of it.
    #[must_use]
    pub fn with_status(self, status: IntegrationStatus) -> Self {
        Self { status, ..self }
    }

    /// What it is about.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Adds what made it succeed or fail.
    #[must_use]
    pub fn with_factor(mut self, factor: impl Into<String>) -> Self {
        self.factors.push(factor.into());
        self
    }

    /// How urgent it is.
    #[must_use]
    pub fn with_priority(self, priority: impl Into<String>) -> Self {
        Self { priority: Some(priority.into()), ..self }
    }

    /// Adds one who approved it.
    #[must_use]
    pub fn with_approver(mut self, approver: impl Into<String>) -> Self {
        self.approvers.push(approver.into());
        self
    }

    /// How it ended; `None` while it has not. An approval is no end: nothing was built yet.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match IntegrationStatus::from(self.status.as_str()) {
            IntegrationStatus::Connected => Some(Outcome::Success),
            IntegrationStatus::Failed | IntegrationStatus::Rejected => Some(Outcome::Failure),
            _ => None,
        }
    }

    /// Whether one of its ends is this domain.
    #[must_use]
    pub fn touches(&self, domain: &MemoryKey) -> bool {
        self.source == *domain || self.target == *domain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_survives() {
        let path: IntegrationPath = serde_json::from_str("\"carrier pigeon\"").unwrap();
        assert_eq!(path, IntegrationPath::Other("carrier pigeon".to_owned()));
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"carrier pigeon\"");
    }

    #[test]
    fn only_what_has_ended_has_an_outcome() {
        let key = |key| MemoryKey::new(key).unwrap();
        let integration = Integration::new(key("i"), key("a"), key("b"), IntegrationPath::Hub);
        let outcome = |status| integration.clone().with_status(status).outcome();
        assert_eq!(outcome(IntegrationStatus::Connected), Some(Outcome::Success));
        assert_eq!(outcome(IntegrationStatus::Failed), Some(Outcome::Failure));
        assert_eq!(outcome(IntegrationStatus::Rejected), Some(Outcome::Failure));
        assert_eq!(outcome(IntegrationStatus::Approved), None);
        assert_eq!(outcome(IntegrationStatus::Pending), None);
        assert_eq!(outcome(IntegrationStatus::Other("paused".to_owned())), None);
        // However it was made: a memory that stores the word gives back the other.
        let word = IntegrationStatus::Other("connected".to_owned());
        assert_eq!(outcome(word), Some(Outcome::Success));
    }
}
