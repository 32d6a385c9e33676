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

mod wrapped {
    use pipe_secrets_openbao::OpenBao;
    use pipe_testkit::wrapped::{Stack, stack};

    async fn by_token() -> Option<(Stack<OpenBao>, ())> {
        super::by_token().await.map(|(plugin, guard)| (stack(plugin), guard))
    }

    pipe_testkit::secrets_compliance!(by_token);
}
