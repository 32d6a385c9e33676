//! Servers, plugins and tokens.

use pipe_core::SecretSource;
use pipe_core::identity::BearerToken;
use pipe_identity_zitadel::{ApiClient, ServiceUser, Zitadel, ZitadelConfig};
use pipe_testkit::fake::{self, ZitadelMachine};

pub(crate) const ROLES: &str = "urn:zitadel:iam:org:projects:roles";
pub(crate) const OWNER: &str = "urn:zitadel:iam:user:resourceowner";

pub(crate) fn value(text: impl Into<String>) -> SecretSource {
    SecretSource::Value(text.into().as_str().into())
}

pub(crate) fn config(server: &fake::Zitadel) -> ZitadelConfig {
    ZitadelConfig::new(server.url(), server.project()).with_clock(server.clock().shared())
}

pub(crate) fn plugin(config: ZitadelConfig) -> Zitadel {
    Zitadel::new(config).expect("the settings are sound")
}

pub(crate) fn key_file(machine: &ZitadelMachine) -> ServiceUser {
    ServiceUser::key_file(value(&machine.key_file))
}

/// An API client of the project, which introspects.
pub(crate) fn api_client(server: &fake::Zitadel) -> ApiClient {
    let (id, secret) = server.api_client();
    ApiClient::secret(id, value(secret))
}

/// The scopes of a token for the project.
pub(crate) fn scopes(server: &fake::Zitadel) -> Vec<String> {
    let project = format!("urn:zitadel:iam:org:project:id:{}:aud", server.project());
    vec!["openid".to_owned(), project, ROLES.to_owned(), OWNER.to_owned()]
}

/// A token of a user for the project.
pub(crate) fn token(server: &fake::Zitadel, user: &str) -> BearerToken {
    let scopes = scopes(server);
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    BearerToken::new(server.token(user, &scopes))
}
