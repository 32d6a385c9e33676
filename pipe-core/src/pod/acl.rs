//! OpenBao's ACL policies, made of the paths that the secrets are read at (REQ 003-04).

mod parse;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{OpenBaoStore, invalid};
use crate::secrets::{AppId, SecretRef};
use crate::{Error, Result};

/// An ACL policy: what is allowed at which paths. It is written as HCL, in a stable order.
///
/// ```
/// use pipe_core::pod::{AclPolicy, AclCapability, OpenBaoStore};
/// use pipe_core::secrets::ArtifactPath;
///
/// let store = OpenBaoStore::new("https://openbao.openbao-system.svc:8200", "pipe-bot", "bots");
/// let path: ArtifactPath = "/artifacts/crm/public/secrets/api-token".parse()?;
/// let policy = AclPolicy::reading(&store, [&path.secret_ref()])?;
/// assert_eq!(
///     policy.to_string(),
///     "path \"secret/data/artifacts/crm/public/secrets/api-token\" {\n  \
///        capabilities = [\"read\"]\n}\n",
/// );
/// assert!(!policy.allows("secret/data/artifacts/crm/public/secrets/other", AclCapability::Read));
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AclPolicy(BTreeMap<String, BTreeSet<AclCapability>>);

/// What may be done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AclCapability {
    /// Nothing, whatever other policies say.
    Deny,
    /// Make what is not there.
    Create,
    /// Read.
    Read,
    /// Replace what is there.
    Update,
    /// Change a part of what is there.
    Patch,
    /// Delete.
    Delete,
    /// See the names below.
    List,
    /// See the names below, at any depth.
    Scan,
    /// What only an administrator may.
    Sudo,
}

impl AclCapability {
    const ALL: [Self; 9] = [
        Self::Deny,
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::List,
        Self::Scan,
        Self::Sudo,
    ];

    /// As a policy calls it: `read`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Sudo => "sudo",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

impl AclPolicy {
    /// Allows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows to read these secrets, and nothing else.
    ///
    /// # Errors
    /// As for [`OpenBaoStore::data_path`].
    pub fn reading<'a>(
        store: &OpenBaoStore,
        secrets: impl IntoIterator<Item = &'a SecretRef>,
    ) -> Result<Self> {
        secrets.into_iter().try_fold(Self::new(), |policy, secret| {
            Ok(policy.with(store.data_path(secret)?, [AclCapability::Read]))
        })
    }

    /// Also allows to store this secret: the plugin reads what is there before it writes.
    ///
    /// # Errors
    /// As for [`OpenBaoStore::data_path`].
    pub fn allow_writing(self, store: &OpenBaoStore, secret: &SecretRef) -> Result<Self> {
        let needed = [AclCapability::Create, AclCapability::Read, AclCapability::Update];
        Ok(self.with(store.data_path(secret)?, needed))
    }

    /// Also allows to delete this secret: the plugin reads what is there before.
    ///
    /// # Errors
    /// As for [`OpenBaoStore::data_path`].
    pub fn allow_deleting(self, store: &OpenBaoStore, secret: &SecretRef) -> Result<Self> {
        Ok(self.with(store.data_path(secret)?, [AclCapability::Read, AclCapability::Delete]))
    }

    /// Also allows each user to read the own secrets of an application, by one policy for all: who
    /// it is, is the metadata `pipe_user` of the identity's entity.
    ///
    /// The metadata holds the user as the fourth segment of
    /// [`ArtifactPath::secret_name`](crate::secrets::ArtifactPath::secret_name) has it. An entity
    /// without it is allowed nothing.
    #[must_use]
    pub fn allow_reading_own(self, store: &OpenBaoStore, app: &AppId) -> Self {
        let path = format!(
            "{}/data/artifacts/{app}/users/{{{{identity.entity.metadata.pipe_user}}}}/secrets/+",
            store.mount,
        );
        self.with(path, [AclCapability::Read])
    }

    /// Also allows this at a path, in which `+` stands for any segment and `*` at the end for any
    /// rest.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty path, and for one that would end its quotes in a policy.
    pub fn allow(
        self,
        path: impl Into<String>,
        capabilities: impl IntoIterator<Item = AclCapability>,
    ) -> Result<Self> {
        let path = path.into();
        if path.is_empty() || !path.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b)) {
            return Err(invalid("not a path of a policy", "path", &path)
                .hint("use printable ASCII characters without blanks, quotes and backslashes"));
        }
        Ok(self.with(path, capabilities))
    }

    fn with(mut self, path: String, capabilities: impl IntoIterator<Item = AclCapability>) -> Self {
        self.0.entry(path).or_default().extend(capabilities);
        self
    }

    /// Whether this policy alone allows this at a path. As in the server, the most specific rule
    /// that matches decides, and `deny` in it wins. A rule with a template matches nothing here:
    /// who asks is not known.
    #[must_use]
    pub fn allows(&self, path: &str, capability: AclCapability) -> bool {
        let matching = self.0.iter().filter(|(rule, _)| matches(rule, path));
        let decides = matching.max_by_key(|(rule, _)| specificity(rule));
        decides.is_some_and(|(_, capabilities)| {
            capabilities.contains(&capability) && !capabilities.contains(&AclCapability::Deny)
        })
    }

    /// The paths of the rules.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// As HCL.
impl fmt::Display for AclPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, capabilities) in &self.0 {
            let names: Vec<_> =
                capabilities.iter().map(|one| format!("\"{}\"", one.name())).collect();
            writeln!(f, "path \"{path}\" {{\n  capabilities = [{}]\n}}", names.join(", "))?;
        }
        Ok(())
    }
}

/// Reads what the server's tools write: rules of paths with capabilities, and comments.
impl FromStr for AclPolicy {
    type Err = Error;

    fn from_str(hcl: &str) -> Result<Self> {
        parse::policy(hcl)
    }
}

fn matches(rule: &str, path: &str) -> bool {
    if rule.contains("{{") {
        return false;
    }
    let (rule, is_prefix) = match rule.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (rule, false),
    };
    let mut wanted = rule.split('/').peekable();
    let mut given = path.split('/');
    while let Some(segment) = wanted.next() {
        let Some(other) = given.next() else { return false };
        let is_last = wanted.peek().is_none();
        let fits = match segment {
            "+" => true,
            segment if is_last && is_prefix => return other.starts_with(segment),
            segment => segment == other,
        };
        if !fits {
            return false;
        }
    }
    is_prefix || given.next().is_none()
}

/// The server's order: a later first wildcard, no `*` at the end, fewer `+`, a longer path, and the
/// order of the alphabet.
fn specificity(rule: &str) -> (usize, bool, Reverse<usize>, usize, &str) {
    let pluses = rule.split('/').filter(|segment| *segment == "+").count();
    let ends_open = rule.ends_with('*');
    let star = if ends_open { rule.len() - 1 } else { usize::MAX };
    let segments = rule.split('/').scan(0, |at, segment| {
        let start = *at;
        *at += segment.len() + 1;
        Some((start, segment))
    });
    let plus = segments.into_iter().find(|(_, segment)| *segment == "+").map(|(start, _)| start);
    let first = star.min(plus.unwrap_or(usize::MAX));
    (first, !ends_open, Reverse(pluses), rule.len(), rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn policy(rules: &[(&str, AclCapability)]) -> AclPolicy {
        rules
            .iter()
            .fold(AclPolicy::new(), |policy, (path, one)| policy.allow(*path, [*one]).unwrap())
    }

    #[test]
    fn a_rule_matches_as_the_server_matches_it() {
        for (rule, path, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b", "a", false),
            ("a/b*", "a/bc/d", true),
            ("a/b*", "a/b", true),
            ("a/b*", "a/c", false),
            ("a/*", "a/b/c", true),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("*", "a/b", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d/c", false),
            ("a/+/c*", "a/b/cd/e", true),
            ("a/+", "a/b", true),
            ("a/{{identity.entity.id}}", "a/{{identity.entity.id}}", false),
        ] {
            let policy = policy(&[(rule, AclCapability::Read)]);
            assert_eq!(policy.allows(path, AclCapability::Read), expected, "{rule} {path}");
        }
    }

    #[test]
    fn the_most_specific_rule_decides() {
        for (general, specific) in [
            ("*", "a/*"),
            ("a/*", "a/b/*"),
            ("a/+/c", "a/b/c"),
            ("a/+/*", "a/+/c"),
            ("a/+/+", "a/+/c"),
            ("+/b/c", "a/+/c"),
        ] {
            let read = (general, AclCapability::Read);
            assert!(
                !policy(&[read, (specific, AclCapability::Deny)])
                    .allows("a/b/c", AclCapability::Read),
                "{specific}"
            );
            let (deny, read) = ((general, AclCapability::Deny), (specific, AclCapability::Read));
            assert!(policy(&[deny, read]).allows("a/b/c", AclCapability::Read), "{specific}");
        }
        assert!(
            !policy(&[("a", AclCapability::Read), ("a", AclCapability::Deny)])
                .allows("a", AclCapability::Read)
        );
        assert!(!policy(&[("a", AclCapability::List)]).allows("a", AclCapability::Read));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let store = OpenBaoStore::new("https://bao", "role", "account");
        let app = AppId::new("crm").unwrap();
        let secret = SecretRef::new("apps/db").unwrap();
        let policy = AclPolicy::reading(&store, [&secret]).unwrap();
        assert!(policy.clone().allow("a\" {} path \"*", [AclCapability::Read]).is_err());
        let policy = policy.allow_writing(&store, &SecretRef::new("apps/token").unwrap()).unwrap();
        let policy =
            policy.allow_deleting(&store, &secret).unwrap().allow_reading_own(&store, &app);
        assert_eq!(policy.to_string().parse::<AclPolicy>().unwrap(), policy);
        assert!(policy.allows("secret/data/apps/db", AclCapability::Delete));
        assert!(!policy.allows("secret/data/apps/db", AclCapability::Update));
        assert!(policy.allows("secret/data/apps/token", AclCapability::Create));
    }

    #[test]
    fn a_policy_of_other_hands_is_read() {
        let text = "# comment\nname = \"x\" // no\n";
        assert_eq!(text.parse::<AclPolicy>().unwrap_err().kind(), ErrorKind::InvalidArgument);
        let text = "/* the\nbot's */ path \"secret/data/a\" { # here\n capabilities = [\"read\",\n\
                    \"list\",] }\npath secret/data/b { capabilities=[] }";
        assert!(text.parse::<AclPolicy>().is_err());
        let text = text.replace("secret/data/b {", "\"secret/data/b\" {");
        let policy: AclPolicy = text.parse().unwrap();
        assert!(policy.allows("secret/data/a", AclCapability::List));
        assert!(!policy.allows("secret/data/b", AclCapability::Read));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_repeated() {
        for text in [
            "path \"a\" { capabilities = [\"fly\"] }",
            "path \"a\" { capabilities = [\"read\"]",
            "path \"a\" { denied_parameters = {} capabilities = [\"read\"] }",
            "path \"a\" { }",
            "path \"a",
            "path \"a\" capabilities = [\"read\"]",
            "path \"a\" { capabilities = [\"read\" \"list\"] }",
            "/* path",
            "path \"a\\n\" { capabilities = [] }",
            "path \"\" { capabilities = [] }",
        ] {
            let error = text.parse::<AclPolicy>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
            assert!(!format!("{error:#}").contains("fly"), "{error:#}");
        }
    }
}
