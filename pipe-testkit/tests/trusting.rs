//! The trusting half of the identity suite on a right verifier, bare and wrapped, and with hardly any
//! power declared.
#![cfg(feature = "issuer")]

#[path = "verifier/mod.rs"]
mod verifier;

mod bare {
    use pipe_testkit::Trust;

    use crate::verifier::Verifier;

    async fn verifier(trust: Trust) -> Option<(Verifier, ())> {
        Some((Verifier::new(trust, "none"), ()))
    }

    pipe_testkit::identity_compliance!(trusting = verifier);
}

mod wrapped {
    use pipe_testkit::wrapped::{Stack, stack};
    use pipe_testkit::{Features, Trust};

    use crate::verifier::Verifier;

    async fn verifier(trust: Trust) -> Option<(Stack<Verifier>, ())> {
        Some((stack(Verifier::new(trust, "none")), ()))
    }

    pipe_testkit::identity_compliance!(
        trusting = verifier,
        features = Features::ALL.without_clock_jumps()
    );
}

/// A plugin that checks JWTs and nothing else.
mod plain {
    use pipe_testkit::{Features, Trust};

    use crate::verifier::Verifier;

    async fn verifier(trust: Trust) -> Option<(Verifier, ())> {
        Some((Verifier::new(trust, "plain"), ()))
    }

    pipe_testkit::identity_compliance!(
        trusting = verifier,
        features = Features::ALL
            .without_introspection()
            .without_dpop()
            .without_certificates()
            .without_tokio_time()
    );
}
