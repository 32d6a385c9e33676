//! What secrets an application says it needs, under its own names for them (REQ 003-08).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SecretId;
use crate::name::{check_segment, parsed_name};
use crate::{Error, ErrorKind, Result};

parsed_name! {
    /// The developer's own name of a secret, which is the same in every environment: one segment
    /// of a [`SecretName`](crate::SecretName), at most 128 bytes.
    LogicalKey, "key", check_segment
}

impl Borrow<str> for LogicalKey {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// Where an application runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Environment {
    /// `development` or `dev`.
    Development,
    /// `staging`.
    Staging,
    /// `production` or `prod`.
    Production,
}

impl Environment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Development, Self::Staging, Self::Production];

    /// The name in full, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In any case, short or in full.
impl FromStr for Environment {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "development" | "dev" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" | "prod" => Ok(Self::Production),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "not an environment")
                .with("environment", format_args!("{name:?}"))
                .hint("use development, staging or production")),
        }
    }
}

impl TryFrom<String> for Environment {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Environment> for String {
    fn from(environment: Environment) -> Self {
        environment.name().into()
    }
}

/// Whose secret it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecretScope {
    /// One for all users of the application.
    Public,
    /// One for each user, and for nobody else; `user` means the same.
    #[serde(alias = "user")]
    Private,
}

/// One secret that an application needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretDeclaration {
    /// The developer's name of it.
    pub key: LogicalKey,
    /// Whose secret it is.
    pub scope: SecretScope,
    /// Whether the application cannot work without it; yes unless said otherwise.
    #[serde(default = "yes")]
    pub required: bool,
    /// Where it exists; everywhere unless said otherwise.
    #[serde(default = "everywhere")]
    pub environments: BTreeSet<Environment>,
    /// The name under which it is kept, when that is not the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretId>,
}

impl SecretDeclaration {
    /// A secret that is required everywhere and kept under its key.
    #[must_use]
    pub fn new(key: LogicalKey, scope: SecretScope) -> Self {
        Self { key, scope, required: true, environments: everywhere(), secret: None }
    }

    /// The application can work without it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// It exists only there.
    #[must_use]
    pub fn only_in(self, environments: impl IntoIterator<Item = Environment>) -> Self {
        Self { environments: environments.into_iter().collect(), ..self }
    }

    /// The name under which it is kept.
    #[must_use]
    pub fn with_secret(self, secret: SecretId) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// The name under which it is kept: its own, or the key.
    #[must_use]
    pub fn secret_id(&self) -> SecretId {
        self.secret.clone().unwrap_or_else(|| SecretId::from(&self.key))
    }
}

/// The secrets that an application needs: a list in its document.
///
/// ```
/// use pipe_core::secrets::SecretSchema;
///
/// # let document = r#"
/// [
///   { "key": "db-password", "scope": "public", "secret": "postgres" },
///   { "key": "debug-token", "scope": "public", "required": false, "environments": ["dev"] },
///   { "key": "mail-token", "scope": "private" }
/// ]
/// # "#;
/// # let schema: SecretSchema = serde_json::from_str(document).unwrap();
/// # assert_eq!(schema.keys().count(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<SecretDeclaration>", into = "Vec<SecretDeclaration>")]
pub struct SecretSchema(BTreeMap<LogicalKey, SecretDeclaration>);

impl SecretSchema {
    /// These secrets.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the key, when one is declared twice or exists in no environment.
    pub fn new(secrets: impl IntoIterator<Item = SecretDeclaration>) -> Result<Self> {
        let mut schema = BTreeMap::new();
        for secret in secrets {
            let key = secret.key.clone();
            if secret.environments.is_empty() {
                return Err(Error::new(ErrorKind::InvalidArgument, "the secret exists nowhere")
                    .with("key", key)
                    .hint("name an environment, or leave `environments` out"));
            }
            if schema.insert(key.clone(), secret).is_some() {
                return Err(Error::new(ErrorKind::InvalidArgument, "the key is declared twice")
                    .with("key", key)
                    .hint("declare each key once"));
            }
        }
        Ok(Self(schema))
    }

    /// The declaration of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SecretDeclaration> {
        self.0.get(key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &LogicalKey> {
        self.0.keys()
    }

    /// The declarations, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SecretDeclaration> {
        self.0.values()
    }
}

impl TryFrom<Vec<SecretDeclaration>> for SecretSchema {
    type Error = Error;

    fn try_from(secrets: Vec<SecretDeclaration>) -> Result<Self> {
        Self::new(secrets)
    }
}

impl From<SecretSchema> for Vec<SecretDeclaration> {
    fn from(schema: SecretSchema) -> Self {
        schema.0.into_values().collect()
    }
}

fn yes() -> bool {
    true
}

fn everywhere() -> BTreeSet<Environment> {
    Environment::ALL.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Result<SecretSchema, serde_json::Error> {
        serde_json::from_str(document)
    }

    /// REQ 003-08
    #[test]
    fn what_is_not_said_is_required_everywhere_and_kept_under_its_key() {
        let schema = parse(r#"[{ "key": "db", "scope": "public" }]"#).unwrap();
        let db = schema.get("db").unwrap();
        assert!(db.required && db.environments.len() == 3);
        assert_eq!(db.secret_id().as_str(), "db");
        assert_eq!(
            *db,
            SecretDeclaration::new(LogicalKey::new("db").unwrap(), SecretScope::Public)
        );
    }

    /// REQ 003-08
    #[test]
    fn a_schema_that_is_written_out_is_read_back() {
        let document = r#"[
            { "key": "mail", "scope": "user", "required": false, "secret": "smtp" },
            { "key": "db", "scope": "public", "environments": ["Prod", "staging"] }
        ]"#;
        let schema = parse(document).unwrap();
        assert_eq!(schema.get("mail").unwrap().scope, SecretScope::Private);
        assert!(!schema.get("db").unwrap().environments.contains(&Environment::Development));
        assert_eq!(parse(&serde_json::to_string(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn a_faulty_declaration_is_refused_by_its_key() {
        for (document, named) in [
            (r#"[{"key":"db","scope":"public"},{"key":"db","scope":"private"}]"#, "key=db"),
            (r#"[{"key":"a/b","scope":"public"}]"#, "a/b"),
            (r#"[{"key":"..","scope":"public"}]"#, ".."),
            (r#"[{"key":"","scope":"public"}]"#, "key"),
            (r#"[{"key":"db","scope":"public","environments":[]}]"#, "key=db"),
            (r#"[{"key":"db","scope":"public","environments":["qa"]}]"#, "qa"),
            (r#"[{"key":"db","scope":"global"}]"#, "global"),
            (r#"[{"key":"db"}]"#, "scope"),
            (r#"[{"key":"db","scope":"public","optional":true}]"#, "optional"),
            (r#"[{"key":"db","scope":"public","secret":"../x"}]"#, "../x"),
        ] {
            let error = parse(document).unwrap_err().to_string();
            assert!(error.contains(named), "{document}: {error}");
        }
    }

    #[test]
    fn an_environment_has_a_short_and_a_full_name() {
        for (names, environment) in [
            (["dev", "Development"], Environment::Development),
            (["staging", "STAGING"], Environment::Staging),
            (["prod", "production"], Environment::Production),
        ] {
            for name in names {
                assert_eq!(name.parse::<Environment>().unwrap(), environment);
            }
            assert_eq!(environment.name().parse::<Environment>().unwrap(), environment);
        }
        assert!("test".parse::<Environment>().is_err() && "".parse::<Environment>().is_err());
    }
}
