//! Defective memories.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use pipe_core::memory::{
    AddReport, DataPoint, GovernanceMemory, Hit, HubRule, Integration, IntegrationPath,
    IntegrationStatus, MemoryKey, PathSuggestion, Relation, SearchQuery, Source, Suggester,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result};
use pipe_testkit::Needs;
use pipe_testkit::reference::InMemoryGovernance;

/// A memory that is right in everything but one defect, which is called after the case that has to
/// find it.
#[derive(Debug)]
pub(crate) struct Defective {
    defect: &'static str,
    inner: InMemoryGovernance,
    closed: AtomicU32,
    /// All that was added, for suggestions that leave something out.
    added: Mutex<Vec<DataPoint>>,
    suggested: Mutex<Option<PathSuggestion>>,
}

impl Defective {
    pub(crate) fn new(defect: &'static str, needs: Needs) -> Self {
        let mut inner = InMemoryGovernance::new();
        if defect == "the_name_is_stable" {
            inner = inner.named("two words");
        }
        match needs {
            Needs::Denied => inner.fail_with(ErrorKind::PermissionDenied),
            Needs::Unavailable => inner.fail_with(ErrorKind::Unavailable),
            _ => {}
        }
        Self {
            defect,
            inner,
            closed: AtomicU32::new(0),
            added: Mutex::default(),
            suggested: Mutex::default(),
        }
    }

    /// The defect shows only where its case looks, so that no other case sees it.
    fn has_at(&self, defect: &str, place: &str, label: &str) -> bool {
        let mut words = place.split(|c: char| !c.is_alphanumeric());
        self.defect == defect && words.any(|word| word.starts_with(label))
    }

    /// A suggestion from all that was added, each changed.
    fn suggest_from(
        &self,
        [source, target]: [&MemoryKey; 2],
        change: impl Fn(DataPoint) -> Option<DataPoint>,
    ) -> Option<PathSuggestion> {
        let mut suggester = Suggester::new(source.clone(), target.clone());
        let added = self.added.lock().expect("no test panics here").clone();
        added.into_iter().filter_map(change).for_each(|point| suggester.consider(&point));
        suggester.suggest(Source::Local)
    }
}

#[async_trait]
impl Plugin for Defective {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        match self.defect {
            "a_working_memory_says_that_it_serves" => {
                Health::unhealthy("never well", "nothing helps")
            }
            "an_outage_is_told_by_health" => Health::healthy(),
            _ => self.inner.health().await,
        }
    }

    async fn close(&self) -> Result<()> {
        let before = self.closed.fetch_add(1, Ordering::Relaxed);
        if self.defect == "closing_twice_is_harmless" && before > 0 {
            return Err(Error::new(ErrorKind::Unexpected, "closed already"));
        }
        Ok(())
    }
}

#[async_trait]
impl GovernanceMemory for Defective {
    async fn add_datapoints(
        &self,
        points: &[DataPoint],
        relations: &[Relation],
    ) -> Result<AddReport> {
        let first = points.first().map_or("", |point| point.key().as_str());
        let has_at = |defect, label| self.has_at(defect, first, label);
        if points.is_empty() && self.defect == "nothing_added_is_a_success" {
            return Err(Error::new(ErrorKind::InvalidArgument, "nothing to add"));
        }
        let mut points = points.to_vec();
        let report = AddReport::new(Source::Local).with_data_points(points.len());
        if has_at("what_was_added_is_found", "found") {
            return Ok(report);
        }
        if has_at("writers_at_once_lose_nothing", "atonce") && first.ends_with("-1") {
            return Ok(report);
        }
        if has_at("too_much_is_refused_as_a_whole", "much") {
            drop(self.inner.add_datapoints(&points[..1], &[]).await);
        }
        if has_at("a_denied_add_is_an_error", "deniedadd") {
            return Ok(report);
        }
        for point in &mut points {
            match point {
                DataPoint::Custom(custom)
                    if has_at("a_data_point_comes_back_as_it_was_added", "kinds") =>
                {
                    custom.properties.clear();
                }
                DataPoint::Integration(past)
                    if has_at("odd_text_comes_back_as_it_was_added", "odd") =>
                {
                    past.description.retain(|c| c != '\0');
                }
                _ => {}
            }
        }
        self.added.lock().expect("no test panics here").extend(points.iter().cloned());
        let report = self.inner.add_datapoints(&points, relations).await?;
        Ok(match self.defect {
            _ if has_at("what_was_added_is_counted", "counted") => report.with_relations(0, 0),
            _ if has_at("the_same_key_twice_in_one_call_is_one", "doubled") => {
                report.with_data_points(points.len())
            }
            _ if has_at("a_relation_to_what_is_known_is_stored", "related") => {
                report.with_relations(0, relations.len())
            }
            _ if has_at("a_relation_to_nothing_is_skipped_and_counted", "dangling") => {
                report.with_relations(0, 0)
            }
            _ if has_at("every_answer_says_where_it_comes_from", "source") => {
                AddReport::new(Source::Cognee).with_data_points(points.len())
            }
            _ => report,
        })
    }

    async fn search_integrations(&self, query: &SearchQuery) -> Result<Vec<Hit>> {
        let has_at = |defect, label| self.has_at(defect, &query.text, label);
        let about = query.domain.as_ref().map_or("", |domain| domain.as_str());
        match self.defect {
            "a_search_for_nothing_is_refused" if query.text.is_empty() => return Ok(Vec::new()),
            "bad_input_is_refused_without_asking" if query.text == " " => {
                return Err(Error::new(ErrorKind::Unavailable, "nobody answers"));
            }
            _ if has_at("a_denied_search_is_not_empty", "deniedsearch")
                || has_at("an_outage_is_an_error", "outagekind")
                || has_at("a_dropped_call_leaves_the_memory_usable", "dropped") =>
            {
                return Ok(Vec::new());
            }
            _ if has_at("a_domain_that_nobody_knows_has_no_hits", "unknown") => {
                return Err(Error::new(ErrorKind::NotFound, "no such domain"));
            }
            _ => {}
        }
        let mut query = query.clone();
        if has_at("a_limit_is_kept", "limit") {
            query.limit += 1;
        }
        if has_at("a_search_by_kind_finds_no_other", "bykind") {
            query.kinds.clear();
        }
        if has_at("a_search_by_domain_finds_no_other", "bydomain") {
            query.domain = None;
        }
        if has_at("a_search_by_outcome_finds_no_other", "byoutcome") {
            query.outcome = None;
        }
        let mut hits =
            self.inner.search_integrations(&query).await.map_err(|error| match self.defect {
                _ if has_at("an_outage_is_retryable", "outageretry") => error.exhausted(),
                _ if has_at("an_outage_says_where", "outagewhere") => {
                    Error::new(error.kind(), "something went wrong")
                }
                _ => error,
            })?;
        if self.has_at("the_closest_comes_first", about, "closest") {
            hits.reverse();
        }
        if has_at("adding_twice_is_one", "twice") {
            hits.extend(hits.clone());
        }
        for hit in &mut hits {
            match &mut hit.point {
                DataPoint::Integration(past)
                    if has_at("a_later_data_point_replaces_an_earlier", "replaced") =>
                {
                    past.priority = Some("high".to_owned());
                }
                _ if has_at("similarities_are_ordered_and_bounded", "ordered") => {
                    hit.similarity = 2.0;
                }
                _ => {}
            }
        }
        Ok(hits)
    }

    async fn suggest_integration_path(
        &self,
        source: &MemoryKey,
        target: &MemoryKey,
    ) -> Result<Option<PathSuggestion>> {
        let ends = [source, target];
        let has_at = |defect, label| self.has_at(defect, source.as_str(), label);
        if has_at("a_denied_suggestion_is_not_none", "deniedsuggestion") {
            return Ok(None);
        }
        if has_at("no_evidence_is_no_suggestion", "noevidence") {
            let mut suggester = Suggester::new(source.clone(), target.clone());
            let (key, path) = (source.clone(), IntegrationPath::Hub);
            let made_up = Integration::new(key, source.clone(), target.clone(), path)
                .with_status(IntegrationStatus::Connected);
            suggester.consider(&made_up.into());
            return Ok(suggester.suggest(Source::Local));
        }
        if has_at("what_has_not_ended_is_no_evidence", "notended") {
            return Ok(self.suggest_from(ends, |point| match point {
                DataPoint::Integration(past) => {
                    Some(past.with_status(IntegrationStatus::Connected).into())
                }
                other => Some(other),
            }));
        }
        if has_at("the_hub_rule_refuses_the_direct_path", "hubrule") {
            let is_no_policy = |point| match point {
                DataPoint::GovernancePolicy(_) => None,
                other => Some(other),
            };
            return Ok(self.suggest_from(ends, is_no_policy));
        }
        if has_at("the_hub_rule_of_others_refuses_nothing", "othersrule") {
            return Ok(self.suggest_from(ends, |point| match point {
                DataPoint::GovernancePolicy(policy) => {
                    Some(policy.with_hub_rule(HubRule::everywhere()).into())
                }
                other => Some(other),
            }));
        }
        let suggested = self.inner.suggest_integration_path(source, target).await?;
        if has_at("a_suggestion_follows_an_outcome", "follows") {
            return Ok(self
                .suggested
                .lock()
                .expect("no test panics here")
                .get_or_insert(suggested.expect("there is evidence"))
                .clone()
                .into());
        }
        Ok(suggested.map(|mut suggestion| {
            if has_at("the_path_that_succeeded_comes_first", "first") {
                suggestion.ranked.reverse();
            }
            for ranked in &mut suggestion.ranked {
                if has_at("a_suggestion_names_its_evidence", "named") {
                    ranked.evidence.clear();
                }
                if has_at("the_numbers_are_those_of_the_shared_arithmetic", "arithmetic") {
                    ranked.confidence.value = ranked.confidence.success_rate;
                }
            }
            suggestion
        }))
    }
}
