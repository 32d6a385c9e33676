//! What is known beside the integrations: domains, what they offer, rules, reviews and records.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::integration::open_words;
use super::{DataPointKind, IntegrationPath, MemoryKey};

/// A domain: a part of the organisation with systems and an owner of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Domain {
    /// What it is known by.
    pub key: MemoryKey,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
}

impl Domain {
    /// A domain of this key.
    #[must_use]
    pub fn new(key: MemoryKey) -> Self {
        Self { key, description: String::new(), owner: None }
    }

    /// What it is for.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Who answers for it.
    #[must_use]
    pub fn with_owner(self, owner: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }
}

/// Something that a domain offers to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DomainCapability {
    /// What it is known by.
    pub key: MemoryKey,
    /// The key of the domain that offers it.
    pub domain: MemoryKey,
    /// What it is.
    #[serde(default)]
    pub description: String,
}

impl DomainCapability {
    /// A capability of this domain.
    #[must_use]
    pub fn new(key: MemoryKey, domain: MemoryKey) -> Self {
        Self { key, domain, description: String::new() }
    }

    /// What it is.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }
}

open_words! {
    /// Whether something complies.
    ComplianceStatus {
        /// It complies.
        Compliant = "compliant",
        /// It does not.
        Violated = "violated",
        /// It does not, and that is allowed for a while.
        Waived = "waived",
    }
}

/// What a check of an integration against a policy found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ComplianceRecord {
    /// What it is known by.
    pub key: MemoryKey,
    /// The key of the integration that was checked.
    pub integration: MemoryKey,
    /// The key of the policy that it was checked against.
    pub policy: MemoryKey,
    /// What was found.
    pub status: ComplianceStatus,
    /// What was found, in words.
    #[serde(default)]
    pub description: String,
}

impl ComplianceRecord {
    /// What was found about this integration and policy.
    #[must_use]
    pub fn new(
        key: MemoryKey,
        integration: MemoryKey,
        policy: MemoryKey,
        status: ComplianceStatus,
    ) -> Self {
        Self { key, integration, policy, status, description: String::new() }
    }

    /// What was found, in words.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }
}

/// A request to decide about an integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReviewRequest {
    /// What it is known by.
    pub key: MemoryKey,
    /// The key of the integration.
    pub integration: MemoryKey,
    /// Who asks.
    #[serde(default)]
    pub requester: Option<String>,
    /// What is asked, and why.
    #[serde(default)]
    pub description: String,
}

impl ReviewRequest {
    /// A request about this integration.
    #[must_use]
    pub fn new(key: MemoryKey, integration: MemoryKey) -> Self {
        Self { key, integration, requester: None, description: String::new() }
    }

    /// Who asks.
    #[must_use]
    pub fn with_requester(self, requester: impl Into<String>) -> Self {
        Self { requester: Some(requester.into()), ..self }
    }

    /// What is asked, and why.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }
}

open_words! {
    /// What a review came to.
    Decision {
        /// It may be done.
        Approved = "approved",
        /// It may not be done as it is; what has to change is in the rationale.
        ChangesRequested = "changes_requested",
        /// It may not be done.
        Rejected = "rejected",
    }
}

/// What a review of an integration came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReviewDecision {
    /// What it is known by.
    pub key: MemoryKey,
    /// The key of the integration.
    pub integration: MemoryKey,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    #[serde(default)]
    pub rationale: String,
    /// Who decided.
    #[serde(default)]
    pub reviewer: Option<String>,
}

impl ReviewDecision {
    /// A decision about this integration.
    #[must_use]
    pub fn new(key: MemoryKey, integration: MemoryKey, decision: Decision) -> Self {
        Self { key, integration, decision, rationale: String::new(), reviewer: None }
    }

    /// Why.
    #[must_use]
    pub fn with_rationale(self, rationale: impl Into<String>) -> Self {
        Self { rationale: rationale.into(), ..self }
    }

    /// Who decided.
    #[must_use]
    pub fn with_reviewer(self, reviewer: impl Into<String>) -> Self {
        Self { reviewer: Some(reviewer.into()), ..self }
    }
}

/// A way of integrating that people have found to work, or not, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntegrationPattern {
    /// What it is known by.
    pub key: MemoryKey,
    /// The way.
    pub path: IntegrationPath,
    /// When to use it.
    #[serde(default)]
    pub description: String,
    /// What makes it succeed.
    #[serde(default)]
    pub success_factors: Vec<String>,
    /// What makes it fail.
    #[serde(default)]
    pub failure_factors: Vec<String>,
}

impl IntegrationPattern {
    /// A pattern of this way of integrating.
    #[must_use]
    pub fn new(key: MemoryKey, path: IntegrationPath) -> Self {
        Self {
            key,
            path,
            description: String::new(),
            success_factors: Vec::new(),
            failure_factors: Vec::new(),
        }
    }

    /// When to use it.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Adds what makes it succeed.
    #[must_use]
    pub fn with_success_factor(mut self, factor: impl Into<String>) -> Self {
        self.success_factors.push(factor.into());
        self
    }

    /// Adds what makes it fail.
    #[must_use]
    pub fn with_failure_factor(mut self, factor: impl Into<String>) -> Self {
        self.failure_factors.push(factor.into());
        self
    }
}

/// The hub rule: these domains are integrated with others through the hub, and not directly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HubRule {
    /// The keys of the domains; none means all.
    #[serde(default)]
    pub domains: Vec<MemoryKey>,
}

impl HubRule {
    /// For all domains.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// For these domains.
    pub fn of(domains: impl IntoIterator<Item = MemoryKey>) -> Self {
        Self { domains: domains.into_iter().collect() }
    }

    /// Whether it forbids a direct path between these two: they are different domains, and one of
    /// them is among those of the rule.
    #[must_use]
    pub fn applies(&self, source: &MemoryKey, target: &MemoryKey) -> bool {
        let is_named = |domain: &MemoryKey| self.domains.contains(domain);
        source != target && (self.domains.is_empty() || is_named(source) || is_named(target))
    }
}

/// A rule that integrations have to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GovernancePolicy {
    /// What it is known by.
    pub key: MemoryKey,
    /// The rule, in words.
    #[serde(default)]
    pub description: String,
    /// The hub rule, where this policy states it.
    #[serde(default)]
    pub hub_rule: Option<HubRule>,
}

impl GovernancePolicy {
    /// A policy without a hub rule.
    #[must_use]
    pub fn new(key: MemoryKey) -> Self {
        Self { key, description: String::new(), hub_rule: None }
    }

    /// The rule, in words.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// The hub rule that it states.
    #[must_use]
    pub fn with_hub_rule(self, rule: HubRule) -> Self {
        Self { hub_rule: Some(rule), ..self }
    }
}

/// What no other kind of data point fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Custom {
    /// Its kind, such as `Runbook`.
    pub kind: DataPointKind,
    /// What it is known by.
    pub key: MemoryKey,
    /// What it is about, in words that a search finds.
    #[serde(default)]
    pub description: String,
    /// Whatever else is known about it.
    #[serde(default)]
    pub properties: Map<String, Value>,
}

impl Custom {
    /// A data point of this kind.
    #[must_use]
    pub fn new(kind: DataPointKind, key: MemoryKey) -> Self {
        Self { kind, key, description: String::new(), properties: Map::new() }
    }

    /// What it is about.
    #[must_use]
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Adds something that is known about it.
    #[must_use]
    pub fn with_property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }
}
