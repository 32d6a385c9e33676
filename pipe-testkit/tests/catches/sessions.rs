//! For every case of the suite of session stores, the store that fails it and no other.

#[path = "sessions/defective.rs"]
mod defective;

use std::sync::Arc;

use pipe_testkit::{Needs, SESSION_STORE_CASES, SessionStoreCase};

use self::defective::Defective;

fn fails(case: &SessionStoreCase, defect: &'static str) -> bool {
    let store = Arc::new(Defective::new(defect, case.needs));
    match case.needs {
        Needs::Expiring => {
            let run = case.run;
            let paused = move || async move {
                tokio::time::pause();
                run(store).await;
            };
            pipe_testkit::run::alone_in_time(case.name, paused).is_err()
        }
        _ => super::fails(case.name, (case.run)(store)),
    }
}

/// The cases that a store with this defect fails.
fn failing(defect: &'static str) -> Vec<&'static str> {
    let cases = SESSION_STORE_CASES.into_iter().flatten();
    cases.filter(|case| fails(case, defect)).map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

#[test]
fn a_store_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

mod fresh {
    use super::check;
    pipe_testkit::__sessions_fresh_cases! { __checks ! (check) }
}

mod expiring {
    use super::check;
    pipe_testkit::__sessions_expiring_cases! { __checks ! (check) }
}

mod small {
    use super::check;
    pipe_testkit::__sessions_small_cases! { __checks ! (check) }
}

mod unavailable {
    use super::check;
    pipe_testkit::__sessions_unavailable_cases! { __checks ! (check) }
}
