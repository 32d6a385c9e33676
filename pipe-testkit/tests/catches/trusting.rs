//! Defective verifiers of an issuer's tokens.

use pipe_testkit::{Features, Stage, TRUSTING_CASES, Trust, TrustingCase};

use crate::verifier::Verifier;

/// Whether a verifier with this defect fails the case.
fn fails(case: &TrustingCase, defect: &'static str) -> bool {
    let run = case.run;
    let factory = move |trust: Trust| async move { Some((Verifier::new(trust, defect), ())) };
    let ended = pipe_testkit::run::alone_in_time(case.name, move || async move {
        run(Stage::set(factory, Features::ALL).await.expect("always there")).await;
    });
    ended.is_err()
}

fn failing(defect: &'static str) -> Vec<&'static str> {
    TRUSTING_CASES.iter().filter(|case| fails(case, defect)).map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

#[test]
fn a_verifier_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

pipe_testkit::__identity_trusting_cases! { __checks ! (check) }
