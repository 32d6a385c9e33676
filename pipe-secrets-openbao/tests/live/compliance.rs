//! The suite that every plugin has to pass, over every way to log in.

use crate::setup::{by_approle, by_kubernetes, by_token, denied, unavailable};

mod token {
    use super::*;
    pipe_testkit::secrets_compliance!(by_token, denied = denied, unavailable = unavailable);
}

mod approle {
    use super::*;
    pipe_testkit::secrets_compliance!(by_approle);
}

mod kubernetes {
    use super::*;
    pipe_testkit::secrets_compliance!(by_kubernetes);
}
