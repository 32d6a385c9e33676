//! A data point of any kind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ComplianceRecord, Custom, DataPointId, Domain, DomainCapability, GovernancePolicy, Integration,
    IntegrationPattern, MemoryKey, Relation, ReviewDecision, ReviewRequest,
};
use crate::{Error, ErrorKind, Result};

/// What a data point is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum DataPointKind {
    /// A [`Domain`].
    Domain,
    /// An [`Integration`].
    Integration,
    /// A [`ComplianceRecord`].
    ComplianceRecord,
    /// A [`ReviewDecision`].
    ReviewDecision,
    /// An [`IntegrationPattern`].
    IntegrationPattern,
    /// A [`DomainCapability`].
    DomainCapability,
    /// A [`GovernancePolicy`].
    GovernancePolicy,
    /// A [`ReviewRequest`].
    ReviewRequest,
    /// A [`Custom`] data point of the kind of this name, made by [`custom`](DataPointKind::custom).
    Custom(CustomKind),
}

/// The name of a kind of [`Custom`] data points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomKind(String);

impl DataPointKind {
    const KNOWN: [Self; 8] = [
        Self::Domain,
        Self::Integration,
        Self::ComplianceRecord,
        Self::ReviewDecision,
        Self::IntegrationPattern,
        Self::DomainCapability,
        Self::GovernancePolicy,
        Self::ReviewRequest,
    ];

    /// A kind of its own: a capital letter, then letters and digits, 64 of them at most.
    ///
    /// # Errors
    /// `InvalidArgument` when the name breaks the rule, or is that of another kind.
    pub fn custom(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let is_capital = name.starts_with(|c: char| c.is_ascii_uppercase());
        if !is_capital || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::new(ErrorKind::InvalidArgument, "not the name of a kind")
                .hint("use a capital letter, then letters and digits, 64 of them at most"));
        }
        if Self::KNOWN.iter().any(|known| known.as_str() == name) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the kind is one of our own")
                .with("kind", &name)
                .hint("use the type of that name, or another name"));
        }
        Ok(Self::Custom(CustomKind(name)))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Domain => "Domain",
            Self::Integration => "Integration",
            Self::ComplianceRecord => "ComplianceRecord",
            Self::ReviewDecision => "ReviewDecision",
            Self::IntegrationPattern => "IntegrationPattern",
            Self::DomainCapability => "DomainCapability",
            Self::GovernancePolicy => "GovernancePolicy",
            Self::ReviewRequest => "ReviewRequest",
            Self::Custom(CustomKind(name)) => name,
        }
    }
}

impl fmt::Display for DataPointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for DataPointKind {
    type Error = Error;
    fn try_from(name: String) -> Result<Self> {
        let known = Self::KNOWN.into_iter().find(|known| known.as_str() == name);
        known.map_or_else(|| Self::custom(name), Ok)
    }
}

impl From<DataPointKind> for String {
    fn from(kind: DataPointKind) -> Self {
        kind.as_str().to_owned()
    }
}

/// Something that the memory knows.
///
/// ```
/// use pipe_core::memory::{DataPoint, Integration, IntegrationPath, IntegrationStatus, MemoryKey};
///
/// let key = MemoryKey::new;
/// let integration = Integration::new(
///     key("INT-0001")?, key("payments")?, key("ledger")?, IntegrationPath::Hub,
/// )
/// .with_status(IntegrationStatus::Connected)
/// .with_description("settlement events for the general ledger");
/// let point = DataPoint::from(integration);
/// assert!(point.text().contains("payments"));
/// # Ok::<_, pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "data_point")]
#[non_exhaustive]
pub enum DataPoint {
    /// A domain.
    Domain(Domain),
    /// An integration.
    Integration(Integration),
    /// What a check found.
    ComplianceRecord(ComplianceRecord),
    /// What a review came to.
    ReviewDecision(ReviewDecision),
    /// A way of integrating that people know.
    IntegrationPattern(IntegrationPattern),
    /// Something that a domain offers.
    DomainCapability(DomainCapability),
    /// A rule.
    GovernancePolicy(GovernancePolicy),
    /// A request for a decision.
    ReviewRequest(ReviewRequest),
    /// Anything else.
    Custom(Custom),
}

impl DataPoint {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DataPointKind {
        match self {
            Self::Domain(_) => DataPointKind::Domain,
            Self::Integration(_) => DataPointKind::Integration,
            Self::ComplianceRecord(_) => DataPointKind::ComplianceRecord,
            Self::ReviewDecision(_) => DataPointKind::ReviewDecision,
            Self::IntegrationPattern(_) => DataPointKind::IntegrationPattern,
            Self::DomainCapability(_) => DataPointKind::DomainCapability,
            Self::GovernancePolicy(_) => DataPointKind::GovernancePolicy,
            Self::ReviewRequest(_) => DataPointKind::ReviewRequest,
            Self::Custom(point) => point.kind.clone(),
        }
    }

    /// What it is known by among those of its kind.
    #[must_use]
    pub fn key(&self) -> &MemoryKey {
        match self {
            Self::Domain(point) => &point.key,
            Self::Integration(point) => &point.key,
            Self::ComplianceRecord(point) => &point.key,
            Self::ReviewDecision(point) => &point.key,
            Self::IntegrationPattern(point) => &point.key,
            Self::DomainCapability(point) => &point.key,
            Self::GovernancePolicy(point) => &point.key,
            Self::ReviewRequest(point) => &point.key,
            Self::Custom(point) => &point.key,
        }
    }

    /// What it is known by among all.
    #[must_use]
    pub fn id(&self) -> DataPointId {
        DataPointId::of(&self.kind(), self.key())
    }

    /// The integration that it is, if it is one.
    #[must_use]
    pub fn as_integration(&self) -> Option<&Integration> {
        match self {
            Self::Integration(integration) => Some(integration),
            _ => None,
        }
    }

    /// The words by which a search finds it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut words = vec![self.key().as_str()];
        match self {
            Self::Domain(point) => {
                words.push(&point.description);
                words.extend(point.owner.as_deref());
            }
            Self::Integration(point) => {
                words.push(&point.description);
                words.extend([point.source.as_str(), point.target.as_str(), point.path.as_str()]);
                words.push(point.status.as_str());
                words.extend(point.factors.iter().map(String::as_str));
            }
            Self::ComplianceRecord(point) => {
                words.push(&point.description);
                words.extend([point.integration.as_str(), point.policy.as_str()]);
                words.push(point.status.as_str());
            }
            Self::ReviewDecision(point) => {
                words.push(&point.rationale);
                words.extend([point.integration.as_str(), point.decision.as_str()]);
                words.extend(point.reviewer.as_deref());
            }
            Self::IntegrationPattern(point) => {
                words.extend([point.description.as_str(), point.path.as_str()]);
                words.extend(point.success_factors.iter().map(String::as_str));
                words.extend(point.failure_factors.iter().map(String::as_str));
            }
            Self::DomainCapability(point) => {
                words.extend([point.description.as_str(), point.domain.as_str()]);
            }
            Self::GovernancePolicy(point) => words.push(&point.description),
            Self::ReviewRequest(point) => {
                words.extend([point.description.as_str(), point.integration.as_str()]);
                words.extend(point.requester.as_deref());
            }
            Self::Custom(point) => words.push(&point.description),
        }
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }

    /// What it says itself about other data points: an integration about its domains, a decision
    /// about its integration. They are relations like any other, and added only when the caller
    /// hands them over.
    #[must_use]
    pub fn relations(&self) -> Vec<Relation> {
        let to = |name: &str, kind: DataPointKind, key: &MemoryKey| {
            Relation::new(self.id(), name, DataPointId::of(&kind, key)).ok()
        };
        let relations = match self {
            Self::Integration(point) => vec![
                to("has_source", DataPointKind::Domain, &point.source),
                to("has_target", DataPointKind::Domain, &point.target),
            ],
            Self::ComplianceRecord(point) => vec![
                to("checks", DataPointKind::Integration, &point.integration),
                to("checks_against", DataPointKind::GovernancePolicy, &point.policy),
            ],
            Self::ReviewDecision(point) => {
                vec![to("decides", DataPointKind::Integration, &point.integration)]
            }
            Self::ReviewRequest(point) => {
                vec![to("asks_about", DataPointKind::Integration, &point.integration)]
            }
            Self::DomainCapability(point) => {
                vec![to("is_offered_by", DataPointKind::Domain, &point.domain)]
            }
            _ => Vec::new(),
        };
        relations.into_iter().flatten().collect()
    }
}

macro_rules! from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for DataPoint {
            fn from(point: $kind) -> Self {
                Self::$kind(point)
            }
        }
    )*};
}
from!(
    Domain,
    Integration,
    ComplianceRecord,
    ReviewDecision,
    IntegrationPattern,
    DomainCapability,
    GovernancePolicy,
    ReviewRequest,
    Custom
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_somebody_else_is_none_of_ours() {
        let kind = DataPointKind::custom("Runbook").unwrap();
        assert_eq!(DataPointKind::try_from("Runbook".to_owned()).unwrap(), kind);
        for name in ["", "runbook", "Run book", "Run/book", "Domain", &"X".repeat(65)] {
            let error = DataPointKind::custom(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        }
    }

    #[test]
    fn a_data_point_survives_json() {
        let kind = DataPointKind::custom("Runbook").unwrap();
        let custom = Custom::new(kind, MemoryKey::new("a").unwrap()).with_property("kind", 1);
        let point = DataPoint::from(custom);
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(serde_json::from_str::<DataPoint>(&text).unwrap(), point);
    }

    /// A rate that was stored is the rate that is read, to the last digit.
    #[test]
    fn a_number_survives_json() {
        let kind = DataPointKind::custom("Runbook").unwrap();
        let mut custom = Custom::new(kind, MemoryKey::new("a").unwrap());
        for i in 0..1000 {
            custom = custom.with_property(format!("{i}"), f64::from(i) / 1000.0 + 0.1);
        }
        let point = DataPoint::from(custom);
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(serde_json::from_str::<DataPoint>(&text).unwrap(), point);
    }
}
