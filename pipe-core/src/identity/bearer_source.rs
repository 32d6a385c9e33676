//! Where the bearer token comes from that a backend is shown.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Credential, IdentityPlugin, ServiceAuthRequest};
use crate::{
    ConfigFaults, Error, ErrorKind, Result, SecretReader, SecretSource, SecretValue,
    in_current_context,
};

/// A token that a plugin of secrets shows its server, or logs in with: from a setting, which is read
/// anew each time, or from an identity plugin (REQ 002-46).
pub struct BearerSource(Origin);

enum Origin {
    Setting(SecretReader),
    Identity { plugin: Arc<dyn IdentityPlugin>, request: ServiceAuthRequest },
}

/// What a [`BearerSource`] gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObtainedBearer {
    /// The token.
    pub token: SecretValue,
    /// When it stops working, where that is known.
    pub expires_at: Option<SystemTime>,
}

impl BearerSource {
    /// What stands, or is named, in a setting.
    #[must_use]
    pub fn setting(source: &SecretSource) -> Self {
        Self(Origin::Setting(source.reader()))
    }

    /// What an identity plugin obtains for this request.
    #[must_use]
    pub fn identity(plugin: Arc<dyn IdentityPlugin>, request: ServiceAuthRequest) -> Self {
        Self(Origin::Identity { plugin, request })
    }

    /// The one of both that is there.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the setting, when both are or none is.
    pub fn either(
        setting: &'static str,
        source: Option<&SecretSource>,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        let fault = match (source, identity) {
            (Some(source), None) => return Ok(Self::setting(source)),
            (None, Some((plugin, request))) => return Ok(Self::identity(plugin, request)),
            (Some(_), Some(_)) => "is set, and so is an identity plugin, which gives the token",
            (None, None) => "is not set, and no identity plugin is",
        };
        let mut faults = ConfigFaults::new();
        faults.add(setting, fault);
        Err(faults.into_error())
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// As for [`SecretReader::read`] and [`IdentityPlugin::authenticate_service`], except that a
    /// refusal of the identity provider is `Unauthenticated`; `ConfigInvalid` when the identity
    /// plugin gives credentials that are no bearer token.
    pub async fn obtain(&self) -> Result<ObtainedBearer> {
        let (plugin, request) = match &self.0 {
            Origin::Setting(reader) => {
                let token = reader.read().await?;
                return Ok(ObtainedBearer { token, expires_at: None });
            }
            Origin::Identity { plugin, request } => (plugin, request),
        };
        let obtained = in_current_context(plugin.authenticate_service(request)).await;
        let credentials = obtained.map_err(|error| match error.kind() {
            // Whoever asks for a secret did not present the token that was refused here.
            ErrorKind::TokenRejected(_) => Error::new(
                ErrorKind::Unauthenticated,
                "the identity plugin does not give us credentials",
            ),
            _ => error,
        })?;
        match &credentials.credential {
            Credential::Bearer(token) => Ok(ObtainedBearer {
                token: token.expose().into(),
                expires_at: Some(credentials.expires_at),
            }),
            Credential::Mtls { .. } => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "the identity plugin gives credentials that are no bearer token",
            )
            .hint("ask the identity plugin for a method that gives bearer tokens")),
        }
    }
}

impl fmt::Debug for BearerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Setting(reader) => f.debug_tuple("Setting").field(reader).finish(),
            Origin::Identity { plugin, .. } => {
                f.debug_tuple("Identity").field(&plugin.name()).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::TokenFault;
    use crate::identity::AuthMethod;
    use crate::wrap::scripted::{Scripted, failure, value};

    fn identity(kind: Option<ErrorKind>) -> (Arc<dyn IdentityPlugin>, ServiceAuthRequest) {
        let plugin = Scripted::new(move |number| async move {
            kind.map_or_else(|| value(format!("token-{number}")), failure)
        });
        (Arc::new(plugin), ServiceAuthRequest::new("bot", AuthMethod::OAuth2))
    }

    #[tokio::test]
    async fn a_token_is_of_the_setting_or_of_the_identity_plugin() {
        let setting = SecretSource::Value("hunter2".into());
        let source = BearerSource::either("auth.jwt", Some(&setting), None).unwrap();
        let obtained = source.obtain().await.unwrap();
        assert_eq!((obtained.token, obtained.expires_at), ("hunter2".into(), None));

        let source = BearerSource::either("auth.jwt", None, Some(identity(None))).unwrap();
        for token in ["token-1", "token-2"] {
            let obtained = source.obtain().await.unwrap();
            assert_eq!(obtained.token, token.into());
            assert!(obtained.expires_at.unwrap() > SystemTime::now());
        }
    }

    #[test]
    fn both_and_none_are_faults_of_the_setting() {
        let setting = SecretSource::Value("hunter2".into());
        for (source, identity) in [(None, None), (Some(&setting), Some(identity(None)))] {
            let error = BearerSource::either("auth.jwt", source, identity).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.context("auth.jwt").is_some(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_refused_token_is_not_that_of_whoever_reads() {
        for (kind, expected) in [
            (ErrorKind::TokenRejected(TokenFault::Expired), ErrorKind::Unauthenticated),
            (ErrorKind::Unavailable, ErrorKind::Unavailable),
        ] {
            let (plugin, request) = identity(Some(kind));
            let error = BearerSource::identity(plugin, request).obtain().await.unwrap_err();
            assert_eq!(error.kind(), expected);
        }
    }

    #[test]
    fn no_token_shows_in_debug() {
        let setting = SecretSource::Value("hunter2".into());
        assert!(!format!("{:?}", BearerSource::setting(&setting)).contains("hunter2"));
        let (plugin, request) = identity(None);
        assert_eq!(
            format!("{:?}", BearerSource::identity(plugin, request)),
            "Identity(\"scripted\")"
        );
    }
}
