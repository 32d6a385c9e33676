//! Defective relying parties.

use std::sync::Arc;

use pipe_testkit::{LOGIN_CASES, LoginCase, LoginFeatures, LoginStage, LoginTrust};

use crate::party::{Party, Shared};

/// The one case that is about a plugin which does not offer something.
const WITHOUT_BACK_CHANNEL: &str = "g12_without_a_back_channel_it_is_unsupported";

/// Whether a relying party with this defect fails the case. Its instances share what they remember.
fn fails(case: &LoginCase, defect: &'static str) -> bool {
    let run = case.run;
    let features = match defect {
        WITHOUT_BACK_CHANNEL => LoginFeatures::ALL.without_back_channel_logout(),
        _ => LoginFeatures::ALL,
    };
    let ended = pipe_testkit::run::alone_in_time(case.name, move || async move {
        let shared = Arc::new(Shared::default());
        let factory = move |trust: LoginTrust| {
            let party = Party::new(trust, defect, Arc::clone(&shared));
            async move { Some((party, ())) }
        };
        run(LoginStage::set(factory, features).await.expect("always there")).await;
    });
    ended.is_err()
}

fn failing(defect: &'static str) -> Vec<&'static str> {
    LOGIN_CASES.iter().filter(|case| fails(case, defect)).map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

#[test]
fn a_party_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

pipe_testkit::__login_cases! { __checks ! (check) }
