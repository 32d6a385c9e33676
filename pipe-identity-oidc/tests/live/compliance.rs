//! The suite of identity plugins: the plugin signs itself, and the provider gives it credentials.

use std::sync::{Arc, OnceLock};

use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use pipe_identity_oidc::{
    AudienceParameter, ClientAuthentication, ClientConfig, JwtBearer, Oidc, OidcConfig,
    SigningConfig, TokenExchange,
};
use pipe_testkit::wrapped::{Stack, stack};
use serde_json::json;

use crate::credentials::ASSERTION_ISSUER;
use crate::oauth::{assertion, jwt};
use crate::plugin::{trusting, value};
use crate::server::{Server, shared};

/// The suite's audience is no URL, which `resource` demands (RFC 8707) and `audience` does not.
fn config(server: &Server) -> OidcConfig {
    let mut claims = assertion(ASSERTION_ISSUER, "pipe-testkit", server.issuer());
    claims["exp"] = json!(claims["iat"].as_u64().unwrap_or_default() + 3600);
    let trusted = value(&jwt("any", server.assertion_key(), &claims));
    let secret = ClientAuthentication::client_secret_basic(value(server.secret("svc-grants")));
    let client = ClientConfig::new("svc-grants", secret)
        .with_service("pipe-testkit")
        .with_audience_parameter(AudienceParameter::Audience)
        .with_token_exchange(TokenExchange::new(trusted.clone()))
        .with_jwt_bearer(JwtBearer::new(trusted));
    // RSA keys are slow to make.
    static KEY: OnceLock<Arc<SigningKey>> = OnceLock::new();
    let key = || Arc::new(SigningKey::generate(Algorithm::Rs256).expect("a key"));
    let signer = Arc::clone(KEY.get_or_init(key));
    let signing = SigningConfig::with_signer("https://platform.example", signer);
    OidcConfig::new().with_issuer(trusting(server)).with_signing(signing).with_client(client)
}

async fn signing() -> Option<(Oidc, ())> {
    let server = shared().await?;
    Some((Oidc::new(config(server)).expect("the settings are sound"), ()))
}

mod bare {
    use super::signing;

    pipe_testkit::identity_compliance!(signing);
}

mod wrapped {
    use super::{Oidc, Stack, signing, stack};

    async fn wrapped() -> Option<(Stack<Oidc>, ())> {
        let (plugin, ()) = signing().await?;
        Some((stack(plugin), ()))
    }
    pipe_testkit::identity_compliance!(wrapped);
}
