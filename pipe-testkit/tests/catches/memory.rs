//! For every case of the memory suite, the memory that fails it and no other.

#[path = "memory/defective.rs"]
mod defective;

use std::sync::Arc;

use pipe_testkit::MEMORY_CASES;

use self::defective::Defective;

/// The cases that a memory with this defect fails.
fn failing(defect: &'static str) -> Vec<&'static str> {
    let cases = MEMORY_CASES.into_iter().flatten();
    let failing = cases.filter(|case| {
        super::fails(case.name, (case.run)(Arc::new(Defective::new(defect, case.needs))))
    });
    failing.map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

#[test]
fn a_memory_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

mod fresh {
    use super::check;
    pipe_testkit::__memory_fresh_cases! { __checks ! (check) }
}

mod denied {
    use super::check;
    pipe_testkit::__memory_denied_cases! { __checks ! (check) }
}

mod unavailable {
    use super::check;
    pipe_testkit::__memory_unavailable_cases! { __checks ! (check) }
}
