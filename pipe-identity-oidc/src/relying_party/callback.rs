//! What the browser brings back from the provider (RFC 6749 4.1.2, RFC 9207).

use pipe_core::{Error, ErrorKind, LoginFault, Result, SecretValue};
use url::form_urlencoded;
use zeroize::Zeroizing;

/// More than any provider sends.
const LONGEST: usize = 16 << 10;

/// The parameters of a callback. Others are not looked at.
#[derive(Default)]
pub(super) struct Callback {
    pub(super) state: Option<SecretValue>,
    pub(super) code: Option<SecretValue>,
    pub(super) issuer: Option<String>,
    /// The code of an error. Its description and its URI are the other side's words, and are dropped.
    pub(super) error: Option<String>,
}

impl Callback {
    /// # Errors
    /// `LoginRefused(Malformed)` for a query that is too long, is no text, or has a parameter twice.
    pub(super) fn parse(query: &SecretValue) -> Result<Self> {
        let mut callback = Self::default();
        if query.len() > LONGEST {
            return Err(refused(LoginFault::Malformed));
        }
        for (name, value) in form_urlencoded::parse(query.expose()) {
            let value = Zeroizing::new(value.into_owned());
            let is_new = match &*name {
                "state" => callback.state.replace(value.as_str().into()).is_none(),
                "code" => callback.code.replace(value.as_str().into()).is_none(),
                "iss" => callback.issuer.replace((*value).clone()).is_none(),
                "error" => callback.error.replace((*value).clone()).is_none(),
                _ => true,
            };
            if !is_new {
                return Err(refused(LoginFault::Malformed));
            }
        }
        Ok(callback)
    }

    /// The code, when the provider gave one and nothing else.
    ///
    /// # Errors
    /// What the provider's error means; `LoginRefused(Malformed)` when there is neither.
    pub(super) fn code(&self) -> Result<&SecretValue> {
        match (&self.error, &self.code) {
            (Some(error), None) => Err(meaning(error)),
            (None, Some(code)) if !code.is_empty() => Ok(code),
            _ => Err(refused(LoginFault::Malformed)),
        }
    }
}

/// The registered codes (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6). No other is repeated.
fn meaning(error: &str) -> Error {
    let known = [
        ("access_denied", LoginFault::AccessDenied),
        ("account_selection_required", LoginFault::InteractionRequired),
        ("consent_required", LoginFault::InteractionRequired),
        ("interaction_required", LoginFault::InteractionRequired),
        ("login_required", LoginFault::InteractionRequired),
        ("invalid_request", LoginFault::ProviderRefused),
        ("invalid_scope", LoginFault::ProviderRefused),
        ("invalid_target", LoginFault::ProviderRefused),
        ("unauthorized_client", LoginFault::ProviderRefused),
        ("unmet_authentication_requirements", LoginFault::ProviderRefused),
        ("unsupported_response_type", LoginFault::ProviderRefused),
    ];
    if let Some((code, fault)) = known.into_iter().find(|(code, _)| *code == error) {
        return refused(fault).with("oauth_error", code);
    }
    let outages = ["server_error", "temporarily_unavailable"];
    match outages.into_iter().find(|code| *code == error) {
        Some(code) => Error::new(ErrorKind::Unavailable, "the provider cannot log anybody in now")
            .with("oauth_error", code)
            .hint("let the person try again"),
        None => refused(LoginFault::ProviderRefused),
    }
}

/// The person is not logged in, for this reason.
pub(super) fn refused(fault: LoginFault) -> Error {
    let (message, hint) = match fault {
        LoginFault::AccessDenied => (
            "the person, or the provider, said no",
            "let the person try again, or give them access to the client `client.id`",
        ),
        LoginFault::CodeRefused => (
            "the provider does not take the code",
            "let the person try again; if it lasts, check that `redirect_uri` and `client.id` are \
             those of the registered client",
        ),
        LoginFault::InteractionRequired => (
            "the provider has to ask the person something",
            "begin a login that does not have the prompt `none`",
        ),
        LoginFault::Malformed => (
            "this is not the answer of an OpenID provider",
            "check that nothing but the provider sends browsers to `redirect_uri`",
        ),
        LoginFault::ProviderRefused => (
            "the provider refuses the request",
            "check that `client.id` may use the authorization code flow with `redirect_uri` and \
             `scopes`; the provider's log has the reason",
        ),
        LoginFault::SessionRevoked => {
            ("the provider does not renew the session", "let the person log in again")
        }
        LoginFault::WrongIssuer => (
            "the answer is another provider's, or does not say whose it is",
            "check `issuer.issuer`, and give each provider a `redirect_uri` of its own",
        ),
        _ => (
            "no such login is under way in this browser",
            "let the person begin again; keep the cookie of the browser's id, `SameSite=Lax`, for \
             `login_time`",
        ),
    };
    Error::new(ErrorKind::LoginRefused(fault), message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(query: &str) -> ErrorKind {
        let parsed = Callback::parse(&query.into());
        parsed.and_then(|callback| callback.code().map(drop)).unwrap_err().kind()
    }

    #[test]
    fn a_callback_is_read_as_it_was_encoded() {
        let callback = Callback::parse(&"code=a%2Bb+c&state=s&iss=https%3A%2F%2Fi&x=1&x=2".into());
        let callback = callback.unwrap();
        assert_eq!(callback.code().unwrap().expose_str(), Some("a+b c"));
        assert_eq!(callback.issuer.as_deref(), Some("https://i"));
    }

    /// G1
    #[test]
    fn what_no_provider_sends_is_refused() {
        use LoginFault::*;
        for (query, fault) in [
            ("", Malformed),
            ("state=s", Malformed),
            ("code=", Malformed),
            ("code=a&code=b", Malformed),
            ("code=a&state=s&state=s", Malformed),
            ("code=a&iss=a&iss=a", Malformed),
            ("error=access_denied&error=access_denied", Malformed),
            ("code=a&error=access_denied", Malformed),
            ("error=access_denied", AccessDenied),
            ("error=login_required", InteractionRequired),
            ("error=consent_required", InteractionRequired),
            ("error=invalid_scope", ProviderRefused),
            ("error=no_such_code", ProviderRefused),
        ] {
            assert_eq!(kind(query), ErrorKind::LoginRefused(fault), "{query}");
        }
        assert_eq!(kind("error=server_error"), ErrorKind::Unavailable);
        assert_eq!(
            kind(&format!("code={}", "a".repeat(LONGEST))),
            ErrorKind::LoginRefused(Malformed)
        );
    }

    /// G8
    #[test]
    fn the_other_sides_words_stay_out_of_errors() {
        let query =
            "error=%3Cscript%3Edo-not-print&error_description=do-not-print&error_uri=do-not-print";
        let error = Callback::parse(&query.into()).unwrap().code().unwrap_err();
        assert!(!format!("{error:#} {error:?}").contains("do-not-print"));
    }
}
