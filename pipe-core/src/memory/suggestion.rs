//! What past integrations say about the next one: arithmetic alone, the same for every memory.
//!
//! # How a path is judged
//! An integration that has ended is evidence for its path, by how much its domains resemble those
//! that are asked about:
//!
//! | its domains | similarity |
//! |---|---|
//! | the same source and target | 1 |
//! | the same two, the other way round | 0.5 |
//! | the same source, or the same target | 0.25 |
//! | others | none: it is no evidence |
//!
//! Where five or more of a path are about the very same source and target, only these count: a
//! neighbour's fate adds nothing to so many of one's own. Where there are fewer, an integration
//! weighs `w` as much as its similarity `s`, and all neighbours together no more than one of one's
//! own: however many there are, they do not outvote what these very domains have seen. Where there
//! are none, `w` is `s`. Then
//!
//! - the **success rate** is the mean of the outcomes, weighted by `w`;
//! - the **lower bound** is Wilson's, of that rate and of Kish's effective number
//!   `(Σw)² / Σw²`, at 95 % on one side: chance alone makes a path look so good that the true rate
//!   is below it once in twenty times;
//! - the **coverage** is the mean similarity of the evidence, `Σws / Σw`: 1 where all is about the
//!   same two domains;
//! - the **confidence** is the lower bound times the coverage.
//!
//! The path with the highest confidence comes first.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DataPoint, DataPointId, HubRule, Integration, IntegrationPath, IntegrationPattern, MemoryKey,
    Outcome, Source,
};

/// How sure a suggestion is, and what that is made of; see [`Suggester`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Confidence {
    /// The lower bound times the coverage: between 0 and 1.
    pub value: f64,
    /// How often it went well, weighted as [`Suggester`] says.
    pub success_rate: f64,
    /// What the success rate is at least, 95 times in a hundred.
    pub lower_bound: f64,
    /// How much the evidence is about these two domains: 1 where all of it is.
    pub coverage: f64,
    /// How many integrations this is made of.
    pub n: usize,
}

/// A path, and why it comes where it comes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RankedPath {
    /// The path.
    pub path: IntegrationPath,
    /// How sure it is.
    pub confidence: Confidence,
    /// What made integrations on this path succeed, the most frequent first; five at most.
    pub success_factors: Vec<String>,
    /// What made them fail, the most frequent first; five at most.
    pub failure_factors: Vec<String>,
    /// The integrations that speak for and against it, the most similar first; twenty at most.
    pub evidence: Vec<DataPointId>,
    /// Why, in sentences.
    pub reasons: Vec<String>,
}

/// A path that a policy forbids, whatever its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedPath {
    /// The path.
    pub path: IntegrationPath,
    /// The key of the policy.
    pub policy: MemoryKey,
    /// Why, in a sentence.
    pub reason: String,
}

/// How a domain is best integrated with another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PathSuggestion {
    /// The paths with evidence that no policy forbids, the best first. Empty where all evidence is
    /// for a path that is refused.
    pub ranked: Vec<RankedPath>,
    /// The paths that a policy forbids.
    pub refused: Vec<RefusedPath>,
    /// Where the evidence comes from.
    pub source: Source,
}

impl PathSuggestion {
    /// The best path.
    #[must_use]
    pub fn best(&self) -> Option<&RankedPath> {
        self.ranked.first()
    }
}

/// Collects what a memory knows, and says what follows from it for two domains.
///
/// A memory hands over every data point, each once; what has nothing to do with the two domains is
/// left out. How a path is judged: an integration that has ended is evidence for its path, with the
/// similarity 1 where its source and target are those that are asked about, 0.5 where they are
/// exchanged, 0.25 where one of them is the same. Where five or more are of similarity 1, only these
/// count; where there are fewer, all others together weigh no more than one of them. Of the success
/// rate that is weighted so, Wilson's lower bound is taken, at 95 % on one side and with Kish's
/// effective number of observations, and multiplied with the coverage: the mean similarity, weighted
/// in the same way. `PathSuggestion::ranked` is in the order of these products.
///
/// ```
/// use pipe_core::memory::{Integration, IntegrationPath, IntegrationStatus, MemoryKey};
/// use pipe_core::memory::{Source, Suggester};
///
/// let (payments, ledger) = (MemoryKey::new("payments")?, MemoryKey::new("ledger")?);
/// let mut suggester = Suggester::new(payments.clone(), ledger.clone());
/// for i in 0..20 {
///     let key = MemoryKey::new(format!("INT-{i}"))?;
///     let status = if i == 7 { IntegrationStatus::Failed } else { IntegrationStatus::Connected };
///     let path = IntegrationPath::Hub;
///     let past = Integration::new(key, payments.clone(), ledger.clone(), path).with_status(status);
///     suggester.consider(&past.into());
/// }
/// let suggestion = suggester.suggest(Source::Local).expect("there is evidence");
/// let best = suggestion.best().expect("nothing is refused");
/// assert_eq!(best.path, IntegrationPath::Hub);
/// assert_eq!(best.confidence.n, 20);
/// assert!(best.confidence.value > 0.8 && best.confidence.value < 0.95);
/// # Ok::<_, pipe_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Suggester {
    from: MemoryKey,
    to: MemoryKey,
    evidence: BTreeMap<IntegrationPath, Vec<Evidence>>,
    rules: Vec<(MemoryKey, HubRule)>,
    patterns: Vec<IntegrationPattern>,
}

#[derive(Clone, Debug)]
struct Evidence {
    id: DataPointId,
    similarity: f64,
    succeeded: bool,
    factors: Vec<String>,
}

const EXCHANGED: f64 = 0.5;
const ONE_END: f64 = 0.25;
const ENOUGH_OF_ONES_OWN: usize = 5;
/// The 95th percentile of the normal distribution.
const Z: f64 = 1.644_853_626_951_472_7;
const MAX_EVIDENCE: usize = 20;
const MAX_FACTORS: usize = 5;

impl Suggester {
    /// For an integration of `source` with `target`.
    #[must_use]
    pub fn new(source: MemoryKey, target: MemoryKey) -> Self {
        Self {
            from: source,
            to: target,
            evidence: BTreeMap::new(),
            rules: Vec::new(),
            patterns: Vec::new(),
        }
    }

    /// Takes in what this data point says about the two domains.
    pub fn consider(&mut self, point: &DataPoint) {
        match point {
            DataPoint::Integration(past) => {
                let (Some(similarity), Some(outcome)) = (self.similarity(past), past.outcome())
                else {
                    return;
                };
                self.evidence.entry(as_written(&past.path)).or_default().push(Evidence {
                    id: point.id(),
                    similarity,
                    succeeded: outcome == Outcome::Success,
                    factors: past.factors.clone(),
                });
            }
            DataPoint::GovernancePolicy(policy) => {
                let rule = policy.hub_rule.as_ref();
                if let Some(rule) = rule.filter(|rule| rule.applies(&self.from, &self.to)) {
                    self.rules.push((policy.key.clone(), rule.clone()));
                }
            }
            DataPoint::IntegrationPattern(pattern) => self.patterns.push(pattern.clone()),
            _ => {}
        }
    }

    /// What follows; `None` when no integration is evidence.
    #[must_use]
    pub fn suggest(mut self, source: Source) -> Option<PathSuggestion> {
        if self.evidence.is_empty() {
            return None;
        }
        // Whichever order the memory has, the answer is the same.
        self.rules.sort_by(|a, b| a.0.cmp(&b.0));
        self.patterns.sort_by(|a, b| a.key.cmp(&b.key));
        let refused: Vec<_> =
            self.rules.iter().map(|(policy, rule)| self.refusal(policy, rule)).collect();
        let mut ranked: Vec<_> = self
            .evidence
            .iter()
            .filter(|(path, _)| !refused.iter().any(|refused| refused.path == **path))
            .map(|(path, evidence)| self.rank(path, evidence))
            .collect();
        ranked.sort_by(|a, b| {
            let (x, y) = (a.confidence, b.confidence);
            y.value.total_cmp(&x.value).then(y.success_rate.total_cmp(&x.success_rate))
        });
        Some(PathSuggestion { ranked, refused, source })
    }

    fn similarity(&self, past: &Integration) -> Option<f64> {
        let Self { from, to, .. } = self;
        match (past.source == *from, past.target == *to) {
            (true, true) => Some(1.0),
            _ if past.source == *to && past.target == *from => Some(EXCHANGED),
            (false, false) => None,
            _ => Some(ONE_END),
        }
    }

    fn refusal(&self, policy: &MemoryKey, rule: &HubRule) -> RefusedPath {
        let whom = match rule.domains.iter().find(|named| [&self.from, &self.to].contains(named)) {
            Some(domain) => format!("{domain} is integrated"),
            None => "domains are integrated".to_owned(),
        };
        RefusedPath {
            path: IntegrationPath::Direct,
            policy: policy.clone(),
            reason: format!(
                "the policy {policy} says that {whom} through the hub, so {} and {} may not be \
                 integrated directly",
                self.from, self.to,
            ),
        }
    }

    fn rank(&self, path: &IntegrationPath, evidence: &[Evidence]) -> RankedPath {
        let mut evidence: Vec<_> = evidence.iter().collect();
        evidence
            .sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.id.cmp(&b.id)));
        let own = evidence.iter().take_while(|evidence| evidence.similarity == 1.0).count();
        if own >= ENOUGH_OF_ONES_OWN {
            evidence.truncate(own);
        }
        let confidence = confidence(&evidence);
        let patterns = || self.patterns.iter().filter(|pattern| as_written(&pattern.path) == *path);
        let factors = |succeeded: bool, of_pattern: fn(&IntegrationPattern) -> &[String]| {
            let past = evidence.iter().filter(|evidence| evidence.succeeded == succeeded);
            let past = past.flat_map(|evidence| distinct(&evidence.factors));
            most_frequent(past.chain(patterns().flat_map(|pattern| distinct(of_pattern(pattern)))))
        };
        RankedPath {
            path: path.clone(),
            confidence,
            success_factors: factors(true, |pattern| &pattern.success_factors),
            failure_factors: factors(false, |pattern| &pattern.failure_factors),
            evidence: evidence.iter().take(MAX_EVIDENCE).map(|evidence| evidence.id).collect(),
            reasons: self.reasons(path, &evidence, confidence),
        }
    }

    fn reasons(
        &self,
        path: &IntegrationPath,
        evidence: &[&Evidence],
        confidence: Confidence,
    ) -> Vec<String> {
        let count = |is: fn(f64) -> bool| {
            let those = || evidence.iter().filter(|evidence| is(evidence.similarity));
            (those().filter(|evidence| evidence.succeeded).count(), those().count())
        };
        let Self { from, to, .. } = self;
        let mut reasons = Vec::new();
        let (good, all) = count(|similarity| similarity == 1.0);
        if all > 0 {
            reasons.push(format!(
                "{good} of {all} integrations of {from} with {to} by {path} succeeded"
            ));
        }
        let (good, all) = count(|similarity| similarity == EXCHANGED);
        if all > 0 {
            reasons.push(format!(
                "{good} of {all} integrations of {to} with {from} by {path} succeeded"
            ));
        }
        let (good, all) = count(|similarity| similarity == ONE_END);
        if all > 0 {
            reasons.push(format!(
                "{good} of {all} integrations of {from} or {to} with others by {path} succeeded"
            ));
        }
        reasons.push(format!(
            "of {} integrations, {:.0} % went well, and that is {:.0} % at least; {:.0} % of it is \
             about these two domains",
            confidence.n,
            confidence.success_rate * 100.0,
            confidence.lower_bound * 100.0,
            confidence.coverage * 100.0,
        ));
        reasons
    }
}

/// The lower bound of Wilson's interval: what the true rate is at least, when `rate` was observed in
/// `n` trials, 95 times in a hundred. `n` need not be whole; 0 for no trials.
#[must_use]
pub fn wilson_lower_bound(rate: f64, n: f64) -> f64 {
    if n <= 0.0 {
        return 0.0;
    }
    let z2 = Z * Z;
    let centre = rate + z2 / (2.0 * n);
    let margin = Z * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - margin) / (1.0 + z2 / n)).clamp(0.0, 1.0)
}

fn confidence(evidence: &[&Evidence]) -> Confidence {
    let is_own = |evidence: &&&Evidence| evidence.similarity == 1.0;
    let others: f64 = evidence.iter().filter(|e| !is_own(e)).map(|e| e.similarity).sum();
    let has_own = evidence.iter().any(|evidence| is_own(&evidence));
    let share = if has_own && others > 1.0 { 1.0 / others } else { 1.0 };
    let (mut weight, mut squares, mut good, mut near) = (0.0, 0.0, 0.0, 0.0);
    for Evidence { similarity, succeeded, .. } in evidence {
        let w = if *similarity == 1.0 { 1.0 } else { similarity * share };
        weight += w;
        squares += w * w;
        near += w * similarity;
        good += if *succeeded { w } else { 0.0 };
    }
    let success_rate = good / weight;
    let lower_bound = wilson_lower_bound(success_rate, weight * weight / squares);
    let coverage = near / weight;
    Confidence {
        value: lower_bound * coverage,
        success_rate,
        lower_bound,
        coverage,
        n: evidence.len(),
    }
}

/// `Other("direct")` says the same as `Direct`, and no rule is avoided by it.
fn as_written(path: &IntegrationPath) -> IntegrationPath {
    IntegrationPath::from(path.as_str())
}

fn distinct(factors: &[String]) -> BTreeSet<&str> {
    factors.iter().map(String::as_str).collect()
}

fn most_frequent<'a>(factors: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for factor in factors {
        *counts.entry(factor).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // Stable, so that equally frequent ones stay in the order of the alphabet.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().take(MAX_FACTORS).map(|(factor, _)| factor.to_owned()).collect()
}

#[cfg(test)]
mod tests;
