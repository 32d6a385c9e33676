//! The login suite on a right relying party, and with hardly any power declared.
#![cfg(feature = "issuer")]

#[path = "party/mod.rs"]
mod party;

use pipe_testkit::{LoginFeatures, LoginTrust};

use crate::party::Party;

mod alone {
    use super::*;

    async fn party(trust: LoginTrust) -> Option<(Party, ())> {
        Some((Party::new(trust, "none", Default::default()), ()))
    }

    pipe_testkit::login_compliance!(party, features = LoginFeatures::ALL.without_shared_sessions());
}

/// A plugin that logs people in and nothing else.
mod plain {
    use super::*;

    async fn party(trust: LoginTrust) -> Option<(Party, ())> {
        Some((Party::new(trust, "plain", Default::default()), ()))
    }

    pipe_testkit::login_compliance!(
        party,
        features = LoginFeatures::ALL
            .without_back_channel_logout()
            .without_pushed_requests()
            .without_assurance()
            .without_shared_sessions()
            .without_tokio_time()
    );
}
