//! Tokens: how they are made, looked up, renewed and revoked.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::answers::{self, Outcome, Reply};
use super::request::{ApiRequest, Operation};
use super::state::State;
use super::time::{parse_seconds, rfc3339, seconds_up, short, unix};

/// The system's `max_lease_ttl`, and the lifetime of a token that asks for none.
pub(super) const SYSTEM_MAX_TTL: Duration = Duration::from_secs(768 * 3600);

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) accessor: String,
    /// `team1/`; empty for the root namespace.
    pub(super) namespace: String,
    pub(super) policies: Vec<String>,
    pub(super) created: SystemTime,
    pub(super) ttl: Duration,
    /// What a renewal without an increment gives.
    pub(super) renewal_ttl: Duration,
    /// A role's lifetime is what its renewals give; any other token keeps what it got last.
    pub(super) from_role: bool,
    pub(super) max_ttl: Duration,
    pub(super) expires: Option<SystemTime>,
    pub(super) renewed: Option<SystemTime>,
    pub(super) renewable: bool,
    pub(super) display_name: String,
    pub(super) meta: Value,
    pub(super) path: String,
    pub(super) entity_id: String,
}

impl Token {
    /// A token as `auth/token/create` makes it; a login changes what it knows better.
    pub(super) fn new(state: &State, namespace: &str, policies: &[&str], ttl: Duration) -> Self {
        let suffix = state.token_suffix(namespace);
        let mut policies = policies.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        policies.push("default".to_owned());
        policies.sort_unstable();
        policies.dedup();
        let (now, ttl) = (state.now(), ttl.min(SYSTEM_MAX_TTL));
        Self {
            id: format!("s.{}{suffix}", random_text(24)),
            accessor: format!("{}{suffix}", random_text(24)),
            namespace: namespace.to_owned(),
            policies,
            created: now,
            ttl,
            renewal_ttl: ttl,
            from_role: false,
            max_ttl: SYSTEM_MAX_TTL,
            expires: Some(now + ttl),
            renewed: None,
            renewable: true,
            display_name: "token".to_owned(),
            meta: Value::Null,
            path: "auth/token/create".to_owned(),
            entity_id: String::new(),
        }
    }

    /// The `auth` of a login or renewal.
    pub(super) fn auth(&self, ttl: Duration) -> Value {
        json!({
            "client_token": self.id,
            "accessor": self.accessor,
            "policies": self.policies,
            "token_policies": self.policies,
            "metadata": self.meta,
            "lease_duration": seconds_up(ttl),
            "renewable": self.renewable,
            "entity_id": self.entity_id,
            "token_type": "service",
            "orphan": self.from_role,
            "mfa_requirement": null,
            "num_uses": 0,
        })
    }

    fn lookup(&self, now: SystemTime) -> Value {
        let left = self.expires.map(|end| end.duration_since(now).unwrap_or_default());
        let mut data = Map::new();
        let mut set = |key: &str, value: Value| data.insert(key.to_owned(), value);
        set("accessor", self.accessor.as_str().into());
        set("creation_time", unix(self.created).into());
        set("creation_ttl", self.ttl.as_secs().into());
        set("display_name", self.display_name.as_str().into());
        set("entity_id", self.entity_id.as_str().into());
        set("expire_time", self.expires.map(rfc3339).into());
        set("explicit_max_ttl", 0.into());
        set("id", self.id.as_str().into());
        set("issue_time", rfc3339(self.created).into());
        if let Some(renewed) = self.renewed {
            set("last_renewal", rfc3339(renewed).into());
            set("last_renewal_time", unix(renewed).into());
        }
        set("meta", self.meta.clone());
        if !self.namespace.is_empty() {
            set("namespace_path", self.namespace.as_str().into());
        }
        set("num_uses", 0.into());
        set("orphan", (self.from_role || self.expires.is_none()).into());
        set("path", self.path.as_str().into());
        set("policies", json!(self.policies));
        set("renewable", self.renewable.into());
        set("ttl", left.unwrap_or_default().as_secs().into());
        set("type", "service".into());
        data.into()
    }
}

impl State {
    /// `auth/token/…` for a token that may do this.
    pub(super) fn token_route(&mut self, request: &ApiRequest, token: &Token) -> Outcome {
        let operation = request.operation;
        let updates = operation == Operation::Update;
        match request.path.strip_prefix("auth/token/").unwrap_or_default() {
            "lookup-self" if updates || operation == Operation::Read => {
                Ok(answers::data(&token.lookup(self.now())))
            }
            "renew-self" if updates => self.renew(request, token),
            "revoke-self" if updates => {
                self.tokens.remove(&token.id);
                Ok(answers::no_content())
            }
            "lookup-self" | "renew-self" | "revoke-self" => Err(answers::unsupported_operation()),
            _ => Err(answers::unsupported_path()),
        }
    }

    fn renew(&mut self, request: &ApiRequest, token: &Token) -> Outcome {
        let asked = increment(request)?;
        let (true, Some(_)) = (token.renewable, token.expires) else {
            return Err(answers::error(400, "lease is not renewable"));
        };
        let now = self.now();
        let mut ttl = if asked > 0 { Duration::from_secs(asked) } else { token.renewal_ttl };
        let most = (token.created + token.max_ttl).duration_since(now).unwrap_or_default();
        let mut warnings = Value::Null;
        // In whole seconds: a renewal right away is not capped for a few microseconds.
        if ttl.as_secs() > seconds_up(most) {
            warnings = json!([format!(
                "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                short(ttl.as_secs()),
                short(seconds_up(most)),
            )]);
        }
        ttl = ttl.min(most);
        self.renewals += 1;
        let kept = self.tokens.get_mut(&token.id).expect("a token in use is stored");
        kept.expires = Some(now + ttl);
        kept.renewed = Some(now);
        if !kept.from_role {
            kept.renewal_ttl = Duration::from_secs(seconds_up(ttl));
        }
        Ok(answers::auth(&kept.auth(ttl), &warnings))
    }
}

fn increment(request: &ApiRequest) -> Result<u64, Reply> {
    let asked = request.body.get("increment").unwrap_or(&Value::Null);
    parse_seconds(asked).map_err(|reason| {
        let text = format!(
            "Field validation failed: error converting input for field \"increment\": {reason}"
        );
        answers::error(400, &text)
    })
}

/// That many random letters and digits.
pub(super) fn random_text(length: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    bytes.into_iter().map(letter).collect()
}
