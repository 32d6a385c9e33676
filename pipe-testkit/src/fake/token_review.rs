//! A stand-in for the Kubernetes TokenReview API, and the service account tokens it knows.
//!
//! OpenBao's `kubernetes` login shows it the caller's token and believes what it says. Answers are
//! those of kube-apiserver 1.36: a review is always 201, and a refused one has no `authenticated`.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use hyper::{Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http::{Answer, Call, Handler, Payload, Server, response};

/// The audience that tokens are judged for when a review names none.
pub const API_SERVER_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// A certificate authority that has signed nothing, for OpenBao's `kubernetes_ca_cert`, which it
/// wants even for an API server on plain HTTP.
pub const STAND_IN_CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtzdGFuZC1p
biBDQTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFjEUMBIGA1UE
AwwLc3RhbmQtaW4gQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASsBKjhnNCf
73Fe1Owu90oL/oLK6gN1kwAxyx9bK1wnLZShAYfWw05luafiuvFOqOYAHkMz89kO
IMrhIyY1EPAso0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAd
BgNVHQ4EFgQUJUF4PPgXWSVJB3aaSKgKUMAJUSswCgYIKoZIzj0EAwIDRwAwRAIg
SsXHsCQX+IT+wgcNbIBTAclHaOrFWbzheSHcG/ONFXICIFduOKnGeQtTBEhYSVtn
7qFXjcvLV81ubBA+C2/B+P4r
-----END CERTIFICATE-----
";

/// A stand-in for the TokenReview API of a Kubernetes cluster, on plain HTTP.
///
/// It knows the tokens that this process made with [`service_account_jwt`], and refuses all others.
pub struct TokenReview {
    server: Server,
    reviewer: Arc<Reviewer>,
}

impl TokenReview {
    /// Starts one on a free port of 127.0.0.1; it ends when it is dropped.
    pub async fn start() -> Self {
        let reviewer = Arc::new(Reviewer {
            token: format!("reviewer-{}", random_id()),
            reviews: AtomicUsize::new(0),
        });
        Self { server: Server::start(0, Arc::clone(&reviewer)).await, reviewer }
    }

    /// What OpenBao calls `kubernetes_host`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What OpenBao calls `token_reviewer_jwt`: who does not show it is refused.
    #[must_use]
    pub fn reviewer_token(&self) -> &str {
        &self.reviewer.token
    }

    /// How many tokens were reviewed.
    #[must_use]
    pub fn reviews(&self) -> usize {
        self.reviewer.reviews.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for TokenReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReview").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// A token as Kubernetes makes them for a service account, good from now on.
///
/// Its header and claims are those of a real one. Its signature is no RS256 signature but a mark of
/// this process: OpenBao leaves the signature to [`TokenReview`], which knows the mark.
#[must_use]
pub fn service_account_jwt(
    namespace: &str,
    name: &str,
    audience: &str,
    expires_in: Duration,
) -> String {
    let now = unix_time();
    jwt(namespace, name, audience, now, now + expires_in.as_secs())
}

/// A token as [`service_account_jwt`] makes them that expired that long ago.
#[must_use]
pub fn expired_service_account_jwt(
    namespace: &str,
    name: &str,
    audience: &str,
    ago: Duration,
) -> String {
    let expiry = unix_time() - ago.as_secs();
    jwt(namespace, name, audience, expiry - 600, expiry)
}

/// What a token that this process made says.
#[derive(Debug)]
pub(super) struct ServiceAccount {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// The first of them.
    pub(super) audience: String,
    pub(super) audiences: Vec<String>,
    pub(super) not_before: u64,
    pub(super) expiry: u64,
    /// The token's own name.
    pub(super) id: String,
    /// The Kubernetes Secret that it ends with, and its uid.
    pub(super) bound_secret: Option<(String, String)>,
}

impl ServiceAccount {
    /// What the token says, if this process made it.
    pub(super) fn of(token: &str) -> Option<Self> {
        let (signed, mark) = token.rsplit_once('.')?;
        let mark = BASE64_URL_SAFE_NO_PAD.decode(mark).ok()?;
        mac(signed).verify_slice(&mark).ok()?;
        let (_, claims) = signed.split_once('.')?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims = serde_json::from_slice::<Value>(&claims).ok()?;
        let account = &claims["kubernetes.io"]["serviceaccount"];
        let secret = &claims["kubernetes.io"]["secret"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            audiences: claims["aud"].as_array()?.iter().filter_map(text).collect(),
            not_before: claims["nbf"].as_u64()?,
            id: text(&claims["jti"])?,
            bound_secret: text(&secret["name"]).zip(text(&secret["uid"])),
            namespace: claims["kubernetes.io"]["namespace"].as_str()?.to_owned(),
            name: account["name"].as_str()?.to_owned(),
            uid: account["uid"].as_str()?.to_owned(),
            audience: claims["aud"][0].as_str()?.to_owned(),
            expiry: claims["exp"].as_u64()?,
        })
    }
}

/// Seconds since 1970.
pub(super) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs()
}

/// Sixteen random bytes, as a UUID.
pub(super) fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    let hex = bytes.map(|byte| format!("{byte:02x}")).concat();
    let [a, b, c, d] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20]];
    format!("{a}-{b}-{c}-{d}-{}", &hex[20..])
}

struct Reviewer {
    token: String,
    reviews: AtomicUsize,
}

impl Handler for Reviewer {
    fn answer(&self, call: &Call) -> Answer {
        let bearer = call.header(header::AUTHORIZATION.as_str());
        if bearer.and_then(|value| value.strip_prefix("Bearer ")) != Some(&self.token) {
            return failure(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
        }
        if call.path != "/apis/authentication.k8s.io/v1/tokenreviews" {
            let text = "the server could not find the requested resource";
            return failure(StatusCode::NOT_FOUND, "NotFound", text);
        }
        if call.method != Method::POST {
            let text = "the server does not allow this method on the requested resource";
            return failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text);
        }
        let body = call.body.as_deref().unwrap_or_default();
        let Ok(review) = serde_json::from_slice::<Value>(body) else {
            let text = "the object provided is unrecognized";
            return failure(StatusCode::BAD_REQUEST, "BadRequest", text);
        };
        let spec = &review["spec"];
        let Some(token) = spec["token"].as_str().filter(|token| !token.is_empty()) else {
            let text = "token is required for TokenReview in authentication";
            return failure(StatusCode::BAD_REQUEST, "BadRequest", text);
        };
        self.reviews.fetch_add(1, Ordering::Relaxed);
        let status = judge(token, &spec["audiences"])
            .unwrap_or_else(|error| json!({"user": {}, "error": error}));
        answer(
            StatusCode::CREATED,
            &json!({
                "kind": "TokenReview",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {},
                "spec": spec,
                "status": status,
            }),
        )
    }
}

/// What a review says of a token, for these audiences or the server's own.
pub(super) fn judge(token: &str, audiences: &Value) -> Result<Value, String> {
    let account = ServiceAccount::of(token).ok_or("invalid bearer token")?;
    let asked = match audiences.as_array().filter(|asked| !asked.is_empty()) {
        Some(asked) => asked.clone(),
        None => vec![API_SERVER_AUDIENCE.into()],
    };
    let held = |audience: &&Value| account.audiences.iter().any(|held| *audience == held);
    let both: Vec<_> = asked.iter().filter(held).cloned().collect();
    if both.is_empty() {
        return Err(format!(
            "[invalid bearer token, token audiences {} is invalid for the target audiences {}]",
            json!(account.audiences),
            json!(asked),
        ));
    }
    if account.expiry <= unix_time() {
        return Err("[invalid bearer token, service account token has expired]".to_owned());
    }
    if account.not_before > unix_time() {
        return Err("[invalid bearer token, service account token is not valid yet]".to_owned());
    }
    let namespace = &account.namespace;
    Ok(json!({
        "authenticated": true,
        "user": {
            "username": format!("system:serviceaccount:{namespace}:{}", account.name),
            "uid": account.uid,
            "groups": [
                "system:serviceaccounts",
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated",
            ],
            "extra": {
                "authentication.kubernetes.io/credential-id": [format!("JTI={}", account.id)],
            },
        },
        "audiences": both,
    }))
}

fn failure(status: StatusCode, reason: &str, message: &str) -> Answer {
    answer(
        status,
        &json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": status.as_u16(),
        }),
    )
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    response(status, "application/json", Payload::of(body.to_string()))
}

fn jwt(namespace: &str, name: &str, audience: &str, not_before: u64, expiry: u64) -> String {
    mint(&ServiceAccount {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid(namespace, name),
        audience: audience.to_owned(),
        audiences: vec![audience.to_owned()],
        not_before,
        expiry,
        id: random_id(),
        bound_secret: None,
    })
}

/// The uid of a service account.
pub(super) fn uid(namespace: &str, name: &str) -> String {
    format!("uid-of-{namespace}-{name}")
}

/// A token that says this.
pub(super) fn mint(token: &ServiceAccount) -> String {
    let ServiceAccount { namespace, name, .. } = token;
    let header = json!({"alg": "RS256", "kid": "stand-in"});
    let mut claims = json!({
        "iss": API_SERVER_AUDIENCE,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "aud": token.audiences,
        "exp": token.expiry,
        "iat": token.not_before,
        "nbf": token.not_before,
        "jti": token.id,
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": token.uid},
        },
    });
    if let Some((name, uid)) = &token.bound_secret {
        claims["kubernetes.io"]["secret"] = json!({"name": name, "uid": uid});
    }
    let encode = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mark = BASE64_URL_SAFE_NO_PAD.encode(mac(&signed).finalize().into_bytes());
    format!("{signed}.{mark}")
}

fn mac(signed: &str) -> Hmac<Sha256> {
    static KEY: LazyLock<String> = LazyLock::new(random_id);
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes());
    mac.expect("HMAC takes a key of any length").chain_update(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_of_this_process_is_known_for_its_audience() {
        let token = service_account_jwt("default", "app", "openbao", HOUR);
        let status = judge(&token, &json!(["other", "openbao"])).unwrap();
        assert_eq!(status["user"]["username"], "system:serviceaccount:default:app");
        assert_eq!(status["audiences"], json!(["openbao"]));
        let refused = judge(&token, &Value::Null).unwrap_err();
        assert!(refused.contains("is invalid for the target audiences"), "{refused}");
    }

    #[test]
    fn any_other_token_is_refused() {
        let token = service_account_jwt("default", "app", "openbao", HOUR);
        let (signed, mark) = token.rsplit_once('.').unwrap();
        let other = service_account_jwt("default", "root", "openbao", HOUR);
        let (other, _) = other.rsplit_once('.').unwrap();
        for forged in ["x".to_owned(), format!("{signed}."), format!("{other}.{mark}")] {
            let refused = judge(&forged, &json!(["openbao"])).unwrap_err();
            assert_eq!(refused, "invalid bearer token", "{forged}");
        }
        let late = expired_service_account_jwt("default", "app", "openbao", HOUR);
        let refused = judge(&late, &json!(["openbao"])).unwrap_err();
        assert!(refused.contains("has expired"), "{refused}");
    }
}
