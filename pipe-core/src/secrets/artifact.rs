//! Where the secrets of an application and of its users are (REQ 003-05, 003-06, 003-07).

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SecretRef;
use super::schema::LogicalKey;
use crate::identity::PrincipalId;
use crate::name::{check_segment, parsed_name};
use crate::{Error, ErrorKind, Result, SecretName};

parsed_name! {
    /// An application, as the registry of applications calls it: one segment of a [`SecretName`],
    /// at most 128 bytes.
    AppId, "app", check_segment
}

parsed_name! {
    /// A secret of an application. It follows the rule of [`AppId`].
    SecretId, "secret id", check_segment
}

impl From<&LogicalKey> for SecretId {
    fn from(key: &LogicalKey) -> Self {
        Self(key.as_str().into())
    }
}

/// The address of a secret: of all users of an application, or of one of them.
///
/// ```
/// use pipe_core::secrets::ArtifactPath;
///
/// let path: ArtifactPath = "/artifacts/crm/users/auth0%7C123/secrets/token".parse()?;
/// assert_eq!(path.user().map(|user| user.as_str()), Some("auth0|123"));
/// assert_eq!(path.to_string(), "/artifacts/crm/users/auth0%7C123/secrets/token");
/// assert_eq!(path.secret_name().as_str(), "artifacts/crm/users/auth0_7c123/secrets/token");
/// assert!("/artifacts/crm/users/auth0%7c123/secrets/token".parse::<ArtifactPath>().is_err());
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// It is written in exactly one way: `/artifacts/{app}/public/secrets/{secret}` or
/// `/artifacts/{app}/users/{user}/secrets/{secret}`, the user percent-encoded where RFC 3986 does
/// not call a byte unreserved. Any other spelling and any other hierarchy is refused, and so is a
/// user whose id could become a way out in the hands of somebody who decodes it once more.
///
/// A store keeps it under [`secret_name`](Self::secret_name), in which a byte of the user that a
/// [`SecretName`] cannot hold is `_` and two lower-case hexadecimal digits, and `_` itself `_5f`.
/// No two paths share a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactPath {
    app: AppId,
    user: Option<PrincipalId>,
    secret: SecretId,
    name: SecretName,
}

impl ArtifactPath {
    /// A secret that all users of the application share.
    #[must_use]
    pub fn public(app: AppId, secret: SecretId) -> Self {
        let name = format!("{ROOT}/{app}/{PUBLIC}/{SECRETS}/{secret}");
        let name = SecretName::from_checked(name);
        Self { app, user: None, secret, name }
    }

    /// A secret of one user.
    ///
    /// # Errors
    /// `InvalidArgument` when the user's id has a part `.` or `..`, however encoded, and when the
    /// path's name is longer than a [`SecretName`] can be; up to 230 bytes of an encoded user
    /// always fit.
    pub fn private(app: AppId, user: PrincipalId, secret: SecretId) -> Result<Self> {
        if climbs(user.as_str()) {
            return Err(fault("the id of the user has a part `.` or `..`", &user));
        }
        let segment = escape(user.as_str());
        let name = SecretName::new(format!("{ROOT}/{app}/{USERS}/{segment}/{SECRETS}/{secret}"))
            .map_err(|_| fault("the id of the user is too long", &user))?;
        Ok(Self { app, user: Some(user), secret, name })
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &AppId {
        &self.app
    }

    /// The user, when the secret is private.
    #[must_use]
    pub fn user(&self) -> Option<&PrincipalId> {
        self.user.as_ref()
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &SecretId {
        &self.secret
    }

    /// The name under which a store keeps the secret.
    #[must_use]
    pub fn secret_name(&self) -> &SecretName {
        &self.name
    }

    /// The current version of the secret, in the store's own namespace.
    #[must_use]
    pub fn secret_ref(&self) -> SecretRef {
        self.name.clone().into()
    }

    /// The path that is kept under this name.
    ///
    /// # Errors
    /// `InvalidArgument` when no path is.
    pub fn from_secret_name(name: &SecretName) -> Result<Self> {
        let segments: Vec<_> = name.segments().collect();
        Self::from_segments(&segments, unescape)
            .filter(|path| path.name == *name)
            .ok_or_else(|| fault("no artifact path has this name", name))
    }

    fn from_segments(segments: &[&str], decode: fn(&str) -> String) -> Option<Self> {
        match *segments {
            [ROOT, app, PUBLIC, SECRETS, secret] => {
                Some(Self::public(AppId::new(app).ok()?, SecretId::new(secret).ok()?))
            }
            [ROOT, app, USERS, user, SECRETS, secret] => {
                let user = PrincipalId::new(decode(user)).ok()?;
                Self::private(AppId::new(app).ok()?, user, SecretId::new(secret).ok()?).ok()
            }
            _ => None,
        }
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, secret, .. } = self;
        match &self.user {
            None => write!(f, "/{ROOT}/{app}/{PUBLIC}/{SECRETS}/{secret}"),
            Some(user) => {
                let user = percent_encode(user.as_str());
                write!(f, "/{ROOT}/{app}/{USERS}/{user}/{SECRETS}/{secret}")
            }
        }
    }
}

impl FromStr for ArtifactPath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        let parse = || {
            let relative = path.strip_prefix('/').filter(|_| path.len() <= LIMIT)?;
            let segments: Vec<_> = relative.split('/').collect();
            Self::from_segments(&segments, percent_decode)
        };
        // Comparing with the only spelling refuses every other one, whatever it is.
        parse().filter(|parsed| parsed.to_string() == path).ok_or_else(|| {
            fault("not an artifact path", format_args!("{path:?}")).hint(
                "use /artifacts/{app}/public/secrets/{secret} or \
                 /artifacts/{app}/users/{user}/secrets/{secret}, the user percent-encoded",
            )
        })
    }
}

impl TryFrom<String> for ArtifactPath {
    type Error = Error;

    fn try_from(path: String) -> Result<Self> {
        path.parse()
    }
}

impl From<ArtifactPath> for String {
    fn from(path: ArtifactPath) -> Self {
        path.to_string()
    }
}

const ROOT: &str = "artifacts";
const PUBLIC: &str = "public";
const USERS: &str = "users";
const SECRETS: &str = "secrets";

/// Longer than the longest path, whose user has 256 bytes of three characters each.
const LIMIT: usize = 2048;

fn fault(message: &'static str, subject: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
        .with("artifact", subject)
        .hint("use another id for this user, for example a pseudonym of it")
}

/// Whether somebody who decodes the id, once or again and again, would find a way out of a folder.
fn climbs(id: &str) -> bool {
    let mut id = id.to_owned();
    loop {
        if id.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
            return true;
        }
        // Ends, because each round leaves fewer bytes or fewer `%`.
        let decoded = percent_decode(&id);
        if decoded == id {
            return false;
        }
        id = decoded;
    }
}

fn percent_encode(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    encode(text, is_plain, |text, b| write!(text, "%{b:02X}"))
}

fn percent_decode(text: &str) -> String {
    decode(text, b'%')
}

fn escape(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    encode(text, is_plain, |text, b| write!(text, "_{b:02x}"))
}

fn unescape(text: &str) -> String {
    decode(text, b'_')
}

fn encode(
    text: &str,
    is_plain: impl Fn(u8) -> bool,
    write: impl Fn(&mut String, u8) -> fmt::Result,
) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, b| {
        if is_plain(b) {
            encoded.push(char::from(b));
        } else {
            let _ = write(&mut encoded, b);
        }
        encoded
    })
}

/// What is no encoding stays as it is: encoded again, it differs.
fn decode(text: &str, marker: u8) -> String {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        let pair = match *after {
            [high, low, ..] if *first == marker => digit(high).zip(digit(low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &after[2..];
            }
            None => decoded.push(*first),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests;
