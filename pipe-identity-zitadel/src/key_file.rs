//! The key files that Zitadel gives out: one for a service user, another for an application.

use pipe_core::{Error, ErrorKind, Result, SecretValue};
use serde::Deserialize;

/// A key of a service user, which logs in with it.
pub(crate) struct ServiceKey {
    pub(crate) user: String,
    pub(crate) key_id: String,
    pub(crate) pem: SecretValue,
}

/// A key of an application, which introspects tokens with it.
pub(crate) struct ApplicationKey {
    pub(crate) client: String,
    pub(crate) key_id: String,
    pub(crate) pem: SecretValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "type")]
    kind: String,
    key_id: String,
    key: SecretValue,
    user_id: Option<String>,
    client_id: Option<String>,
}

impl ServiceKey {
    pub(crate) fn parse(file: &SecretValue) -> Result<Self> {
        let File { kind, key_id, key: pem, user_id, .. } = File::parse(file)?;
        match (kind.as_str(), user_id) {
            ("serviceaccount", Some(user)) => Ok(Self { user, key_id, pem }),
            ("application", _) => Err(fault("the key file is that of an application, and not of a service user")
                .hint("an application's key introspects tokens: set `introspection.key` to it, and `service.key` to a key of a service user")),
            _ => Err(fault("the key file is not that of a service user")
                .hint("create a key of the type JSON for the service user, and give the whole file")),
        }
    }
}

impl ApplicationKey {
    pub(crate) fn parse(file: &SecretValue) -> Result<Self> {
        let File { kind, key_id, key: pem, client_id, .. } = File::parse(file)?;
        match (kind.as_str(), client_id) {
            ("application", Some(client)) => Ok(Self { client, key_id, pem }),
            ("serviceaccount", _) => Err(fault("the key file is that of a service user, and not of an application")
                .hint("a service user's key logs in: set `service.key` to it, and `introspection.key` to a key of an API application")),
            _ => Err(fault("the key file is not that of an application")
                .hint("create a key of the type JSON for the API application, and give the whole file")),
        }
    }
}

impl File {
    fn parse(file: &SecretValue) -> Result<Self> {
        // A parser's own error would quote the key.
        serde_json::from_slice(file.expose()).map_err(|_| {
            fault("the key file is not one of Zitadel's")
                .hint("give the whole JSON file as Zitadel's console gave it out")
        })
    }
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &str, id: &str) -> SecretValue {
        format!(r#"{{"type":"{kind}","keyId":"1","key":"canary",{id},"appId":"a"}}"#).into()
    }

    #[test]
    fn each_kind_of_key_is_for_its_purpose() {
        let service = file("serviceaccount", r#""userId":"u""#);
        let application = file("application", r#""clientId":"c""#);
        assert_eq!(ServiceKey::parse(&service).ok().map(|key| key.user).as_deref(), Some("u"));
        let client = ApplicationKey::parse(&application).ok().map(|key| key.client);
        assert_eq!(client.as_deref(), Some("c"));
        let (wrong, hint) = match ServiceKey::parse(&application) {
            Err(error) => (error.kind(), error.hint_text().to_owned()),
            Ok(_) => panic!("it is another kind"),
        };
        assert_eq!(wrong, ErrorKind::ConfigInvalid);
        assert!(hint.contains("`introspection.key`"), "{hint}");
        let Err(error) = ApplicationKey::parse(&service) else { panic!("it is another kind") };
        assert!(error.hint_text().contains("`service.key`"), "{error:#}");
    }

    #[test]
    fn what_is_no_key_file_is_not_shown() {
        for text in
            ["", "canary", r#"{"key":"canary"}"#, r#"{"type":"canary","keyId":"1","key":"canary"}"#]
        {
            let Err(error) = ServiceKey::parse(&text.into()) else { panic!("it is none") };
            assert!(!format!("{error:?} {error:#}").contains("canary"), "{error:#}");
        }
    }
}
