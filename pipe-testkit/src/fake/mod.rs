//! In-process servers that answer as the real ones do, measured on the real ones.
//!
//! They listen on a free port of 127.0.0.1 and end when their handle is dropped. They are for tests:
//! plain HTTP, everything in memory, a clock that a test moves.

mod cognee;
pub(crate) mod http;
mod infisical;
mod kubernetes;
mod openbao;
mod token_review;
#[cfg(feature = "issuer")]
mod zitadel;

pub use self::cognee::{Cognee, CogneeFault};
pub use self::infisical::{
    Infisical, InfisicalFault, InfisicalIdentity, InfisicalRelease, InfisicalRights,
};
pub use self::kubernetes::{ApiFault, Kubernetes, Rule};
pub use self::openbao::{Fault, OpenBao, RequestRecord};
pub use self::token_review::{
    API_SERVER_AUDIENCE, STAND_IN_CA, TokenReview, expired_service_account_jwt, service_account_jwt,
};
#[cfg(feature = "issuer")]
pub use self::zitadel::{Zitadel, ZitadelMachine};
