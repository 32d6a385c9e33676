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
    use pipe_testkit::Trust;
    use pipe_testkit::wrapped::{Stack, stack};

    use crate::verifier::Verifier;

    async fn verifier(trust: Trust) -> Option<(Stack<Verifier>, ())> {
        Some((stack(Verifier::new(trust, "none")), ()))
    }

    pipe_testkit::identity_compliance!(trusting = verifier);
}
