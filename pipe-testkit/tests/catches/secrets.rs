//! For every case of the secrets suite, the plugin that fails it and no other.

#[path = "secrets/defective/mod.rs"]
mod defective;

use std::sync::Arc;

use pipe_testkit::SECRETS_CASES;

use self::defective::{Defective, UNDECLARED};

/// The cases that a plugin with this defect fails.
fn failing(defect: &'static str) -> Vec<&'static str> {
    let cases = SECRETS_CASES.into_iter().flatten();
    let failing = cases.filter(|case| {
        super::fails(case.name, (case.run)(Arc::new(Defective::new(defect, case.needs))))
    });
    failing.map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

/// The other half of a capability: not declared, and still not `Unsupported`.
fn check_undeclared(case: &'static str) {
    let defect = format!("{case}_undeclared");
    let known = UNDECLARED.into_iter().find(|known| *known == defect);
    assert_eq!(failing(known.expect("the defect is listed")), [case]);
}

#[test]
fn a_plugin_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

mod declared {
    use super::check;
    pipe_testkit::__secrets_fresh_cases! { __checks ! (check) }
}

mod denied {
    use super::check;
    pipe_testkit::__secrets_denied_cases! { __checks ! (check) }
}

mod unavailable {
    use super::check;
    pipe_testkit::__secrets_unavailable_cases! { __checks ! (check) }
}

mod undeclared {
    use super::check_undeclared;
    pipe_testkit::__checks! { check_undeclared ;
        a_name_with_segments_is_supported_or_refused,
        a_watch_is_supported_or_refused,
        a_write_is_supported_or_refused,
        binary_values_round_trip_or_are_refused,
        delete_is_supported_or_refused,
        list_is_supported_or_refused,
        namespaces_are_isolated_or_unsupported,
        old_versions_are_readable_or_unsupported,
    }
}
