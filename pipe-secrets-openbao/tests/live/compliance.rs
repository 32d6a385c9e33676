//! The suite that every plugin has to pass, over every way to log in.

use pipe_secrets_openbao::OpenBao;

use crate::setup::{
    by_approle, by_inline_approle, by_jwt, by_kubernetes, by_token, by_userpass, denied,
    unavailable,
};

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

mod jwt {
    use super::*;
    pipe_testkit::secrets_compliance!(by_jwt);
}

mod userpass {
    use super::*;
    pipe_testkit::secrets_compliance!(by_userpass);
}

mod inline {
    use super::*;
    pipe_testkit::secrets_compliance!(by_inline_approle);
}

mod kv1 {
    use super::*;
    async fn kv1() -> Option<(OpenBao, ())> {
        crate::setup::kv1(Some(1)).await
    }
    pipe_testkit::secrets_compliance!(kv1);
}

mod wrapped {
    use pipe_secrets_openbao::OpenBao;
    use pipe_testkit::wrapped::{Stack, stack};

    async fn by_token() -> Option<(Stack<OpenBao>, ())> {
        super::by_token().await.map(|(plugin, guard)| (stack(plugin), guard))
    }

    pipe_testkit::secrets_compliance!(by_token);
}
