//! The settings of a login.

use std::path::PathBuf;

use pipe_core::{ConfigFaults, SecretName, SecretSource};
use serde::Deserialize;

/// How we log in.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Auth {
    /// With a token that somebody else made, renews and revokes.
    Token(TokenAuth),
    /// With a Kubernetes service-account token.
    Kubernetes(KubernetesAuth),
    /// With a role id and a secret id.
    AppRole(AppRoleAuth),
    /// With a JWT that the server checks, such as an OIDC access token.
    Jwt(JwtAuth),
    /// With a user name and a password.
    Userpass(UserpassAuth),
    /// With the client certificate of `http`.
    Cert(CertAuth),
}

impl Auth {
    /// With a token that somebody else made. A file is read again when its token is refused.
    pub fn token(token: impl Into<SecretSource>) -> Self {
        Self::Token(TokenAuth { token: token.into() })
    }

    pub(crate) fn check(&self, has_certificate: bool, faults: &mut ConfigFaults) {
        let mount = match self {
            Self::Token(_) => return,
            Self::Kubernetes(auth) => {
                if auth.role.is_empty() {
                    faults.add("auth.role", "must not be empty");
                }
                &auth.mount
            }
            Self::AppRole(auth) => &auth.mount,
            Self::Jwt(auth) => {
                if auth.role.as_deref() == Some("") {
                    faults.add("auth.role", "must not be empty; leave it out for the default role");
                }
                &auth.mount
            }
            Self::Cert(auth) => {
                if auth.role.as_deref() == Some("") {
                    faults.add("auth.role", "must not be empty; leave it out for any that fits");
                }
                if !has_certificate {
                    faults.add("http.client_certificate", "is not set, and `auth` logs in with it");
                }
                &auth.mount
            }
            Self::Userpass(auth) => {
                let user = auth.username.as_str();
                let is_part = !matches!(user, "" | "." | "..") && !user.contains('/');
                if !is_part || user.contains(|c: char| c.is_whitespace() || c.is_control()) {
                    faults.add("auth.username", "must be a name without slashes or spaces");
                }
                &auth.mount
            }
        };
        faults.keep("auth.mount", SecretName::new(mount.trim_matches('/')));
    }
}

/// A login with a token that somebody else made.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenAuth {
    /// Where the token is.
    pub token: SecretSource,
}

/// A login with a Kubernetes service-account token, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesAuth {
    /// The role of the auth method.
    pub role: String,
    /// Where the auth method is mounted; `kubernetes`.
    #[serde(default = "default_kubernetes_mount")]
    pub mount: String,
    /// The file with the service-account token; where Kubernetes puts it by default.
    #[serde(default = "default_token_file")]
    pub token_file: PathBuf,
    /// Whom the token has to be meant for. When set, a token for somebody else is not sent.
    #[serde(default)]
    pub audience: Option<String>,
}

fn default_kubernetes_mount() -> String {
    "kubernetes".to_owned()
}

fn default_token_file() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

impl KubernetesAuth {
    /// With this role of the auth method at `kubernetes`, and the pod's own token.
    pub fn new(role: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            mount: default_kubernetes_mount(),
            token_file: default_token_file(),
            audience: None,
        }
    }

    /// Where the auth method is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }

    /// The file with the service-account token, such as a projected one with its own audience.
    #[must_use]
    pub fn with_token_file(self, token_file: impl Into<PathBuf>) -> Self {
        Self { token_file: token_file.into(), ..self }
    }

    /// Whom the token has to be meant for.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }
}

impl From<KubernetesAuth> for Auth {
    fn from(auth: KubernetesAuth) -> Self {
        Self::Kubernetes(auth)
    }
}

/// A login with AppRole. Both ids are read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AppRoleAuth {
    /// Which role we claim to be.
    pub role_id: SecretSource,
    /// What proves it.
    pub secret_id: SecretSource,
    /// Whether `secret_id` is a wrapping token, which gives the secret id to the first who asks;
    /// no. It is used once, and the secret id kept in memory.
    #[serde(default)]
    pub wrapped: bool,
    /// Where the auth method is mounted; `approle`.
    #[serde(default = "default_approle_mount")]
    pub mount: String,
}

fn default_approle_mount() -> String {
    "approle".to_owned()
}

impl AppRoleAuth {
    /// With these ids, at the auth method at `approle`.
    pub fn new(role_id: impl Into<SecretSource>, secret_id: impl Into<SecretSource>) -> Self {
        let mount = default_approle_mount();
        Self { role_id: role_id.into(), secret_id: secret_id.into(), wrapped: false, mount }
    }

    /// The secret id is wrapped: what is configured is a wrapping token for it.
    #[must_use]
    pub fn with_wrapped_secret_id(self) -> Self {
        Self { wrapped: true, ..self }
    }

    /// Where the auth method is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }
}

impl From<AppRoleAuth> for Auth {
    fn from(auth: AppRoleAuth) -> Self {
        Self::AppRole(auth)
    }
}

/// A login with a JWT, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JwtAuth {
    /// The role of the auth method; the method's default role when absent.
    #[serde(default)]
    pub role: Option<String>,
    /// The JWT. Where an identity plugin gives it
    /// ([`OpenBao::with_identity`](crate::OpenBao::with_identity)), it is absent.
    #[serde(default)]
    pub jwt: Option<SecretSource>,
    /// Where the auth method is mounted; `jwt`.
    #[serde(default = "default_jwt_mount")]
    pub mount: String,
}

fn default_jwt_mount() -> String {
    "jwt".to_owned()
}

impl JwtAuth {
    /// With this role of the auth method at `jwt`, and this JWT.
    pub fn new(role: impl Into<String>, jwt: impl Into<SecretSource>) -> Self {
        let (role, mount) = (Some(role.into()), default_jwt_mount());
        Self { role, jwt: Some(jwt.into()), mount }
    }

    /// With this role of the auth method at `jwt`, and the JWT of an identity plugin.
    pub fn of_plugin(role: impl Into<String>) -> Self {
        Self { role: Some(role.into()), jwt: None, mount: default_jwt_mount() }
    }

    /// Where the auth method is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }
}

impl From<JwtAuth> for Auth {
    fn from(auth: JwtAuth) -> Self {
        Self::Jwt(auth)
    }
}

/// A login with a user name and a password, which is read anew for every login.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UserpassAuth {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: SecretSource,
    /// Where the auth method is mounted; `userpass`.
    #[serde(default = "default_userpass_mount")]
    pub mount: String,
}

fn default_userpass_mount() -> String {
    "userpass".to_owned()
}

impl UserpassAuth {
    /// As this user of the auth method at `userpass`.
    pub fn new(username: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        let (username, password) = (username.into(), password.into());
        Self { username, password, mount: default_userpass_mount() }
    }

    /// Where the auth method is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }
}

impl From<UserpassAuth> for Auth {
    fn from(auth: UserpassAuth) -> Self {
        Self::Userpass(auth)
    }
}

/// A login with the client certificate that the settings of `http` name.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CertAuth {
    /// The role of the auth method; any that the certificate fits when absent.
    #[serde(default)]
    pub role: Option<String>,
    /// Where the auth method is mounted; `cert`.
    #[serde(default = "default_cert_mount")]
    pub mount: String,
}

fn default_cert_mount() -> String {
    "cert".to_owned()
}

impl CertAuth {
    /// With this role of the auth method at `cert`.
    pub fn new(role: impl Into<String>) -> Self {
        Self { role: Some(role.into()), mount: default_cert_mount() }
    }

    /// Where the auth method is mounted.
    #[must_use]
    pub fn with_mount(self, mount: impl Into<String>) -> Self {
        Self { mount: mount.into(), ..self }
    }
}

impl From<CertAuth> for Auth {
    fn from(auth: CertAuth) -> Self {
        Self::Cert(auth)
    }
}
