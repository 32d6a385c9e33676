//! All figures of a run.

use std::fmt;
use std::process::ExitCode;

use crate::{Fault, Figure, Limit, Measured};

/// How often a figure is measured before it is said to fall short.
const ATTEMPTS: usize = 3;

/// The figures of one run, as a table.
#[derive(Clone, Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a figure that is the same however often it is measured, such as a count.
    pub fn add(
        &mut self,
        name: &'static str,
        limit: Limit,
        measured: Result<Measured, Fault>,
    ) -> &mut Self {
        self.figures.push(Figure::new(name, limit, measured));
        self
    }

    /// Measures a time, and adds it.
    ///
    /// Noise makes a ratio worse and cannot make it better for long, because both sides are measured
    /// side by side: what falls short is measured again, three times in all, and the best of these
    /// counts. The limit is the same each time.
    pub async fn measure(
        &mut self,
        name: &'static str,
        limit: Limit,
        mut measure: impl AsyncFnMut() -> Result<Measured, Fault>,
    ) -> &mut Self {
        let mut best = measure().await;
        for _ in 1..ATTEMPTS {
            let Ok(so_far) = best.as_ref().copied() else { break };
            if limit.allows(so_far.ratio()) {
                break;
            }
            best = measure().await.map(|again| limit.better(so_far, again));
        }
        self.add(name, limit, best)
    }

    /// Success when there are figures, and every one of them holds.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn holds(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(Figure::holds)
    }
}

/// The table: `name  ours  baseline  ratio  limit  ok|FALLS SHORT`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        let mut line = |name: &str, columns: [&str; 4], verdict: &str| {
            let [ours, baseline, ratio, limit] = columns;
            writeln!(
                f,
                "{name:width$}  {ours:>12}  {baseline:>12}  {ratio:>9}  {limit:>8}  {verdict}"
            )
        };
        line("figure", ["ours", "baseline", "ratio", "limit"], "verdict")?;
        for figure in &self.figures {
            let verdict = if figure.holds() { "ok" } else { "FALLS SHORT" };
            let limit = figure.limit.to_string();
            match &figure.measured {
                Ok(measured) => {
                    let (ours, baseline) =
                        (measured.ours.to_string(), measured.baseline.to_string());
                    let ratio = format!("{:.3}", measured.ratio());
                    line(figure.name, [&ours, &baseline, &ratio, &limit], verdict)?;
                }
                Err(fault) => {
                    let verdict = format!("{verdict}: {fault}");
                    line(figure.name, ["absent", "absent", "-", &limit], &verdict)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use crate::Amount;

    fn measured(ours: u64, baseline: u64) -> Result<Measured, Fault> {
        let micros = |micros| Amount::Time(Duration::from_micros(micros));
        Ok(Measured::new(micros(ours), micros(baseline)))
    }

    fn report(figures: impl IntoIterator<Item = (Limit, Result<Measured, Fault>)>) -> Report {
        let mut report = Report::new();
        for (limit, measured) in figures {
            report.add("made up", limit, measured);
        }
        report
    }

    fn succeeds(report: &Report) -> bool {
        report.exit_code() == ExitCode::SUCCESS
    }

    #[test]
    fn a_figure_beyond_its_limit_falls_short_and_fails_the_run() {
        let limits = [Limit::AtMost(1.05), Limit::AtLeast(2.0)];
        let short = [measured(106, 100), measured(199, 100)];
        for figure in limits.into_iter().zip(short) {
            let report = report([(Limit::AtMost(1.0), measured(1, 1)), figure]);
            assert!(report.to_string().contains("FALLS SHORT"), "{report}");
            assert!(!succeeds(&report));
        }
    }

    #[test]
    fn figures_within_their_limits_are_ok_and_the_run_succeeds() {
        let report = report([
            (Limit::AtMost(1.05), measured(105, 100)),
            (Limit::AtLeast(2.0), measured(2, 1)),
        ]);
        assert!(!report.to_string().contains("FALLS SHORT"), "{report}");
        assert!(succeeds(&report));
    }

    #[test]
    fn a_figure_that_is_absent_fails_the_run_and_says_why() {
        let report = report([(Limit::AtMost(1.0), Err(Fault::new("no server")))]);
        assert!(report.to_string().contains("FALLS SHORT: no server"), "{report}");
        assert!(!succeeds(&report));
    }

    #[test]
    fn a_run_without_figures_fails() {
        assert!(!succeeds(&Report::new()));
    }

    #[test]
    fn a_line_says_what_was_measured_and_what_was_promised() {
        let report = report([(Limit::AtMost(1.05), measured(103, 100))]).to_string();
        let words: Vec<_> = report.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["made", "up", "103.0µs", "100.0µs", "1.030", "<=", "1.05", "ok"]);
    }

    /// Measures these in turn; returns the report and how many of them it took.
    async fn in_turn(limit: Limit, ours: &[u64]) -> (Report, usize) {
        let mut report = Report::new();
        let mut taken = 0;
        let measure = async || {
            taken += 1;
            measured(ours[taken - 1], 100)
        };
        report.measure("made up", limit, measure).await;
        (report, taken)
    }

    #[tokio::test]
    async fn what_falls_short_is_measured_again_and_the_best_counts() {
        let (report, taken) = in_turn(Limit::AtMost(1.05), &[110, 104, 200]).await;
        assert!(succeeds(&report) && taken == 2, "{report}");
        let (report, taken) = in_turn(Limit::AtMost(1.05), &[110, 107, 109, 100]).await;
        assert!(!succeeds(&report) && taken == 3, "{report}");
        assert!(report.to_string().contains("1.070"), "{report}");
        let (report, _) = in_turn(Limit::AtLeast(2.0), &[150, 180, 170]).await;
        assert!(report.to_string().contains("1.800"), "{report}");
    }

    #[tokio::test]
    async fn what_holds_is_measured_once() {
        assert_eq!(in_turn(Limit::AtMost(1.05), &[104, 100]).await.1, 1);
    }
}
