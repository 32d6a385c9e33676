//! Holds the exchanges with the fake server and, when it is there, with the real one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_testkit::fake::{OpenBao, STAND_IN_CA, TokenReview};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The fake server and, when it is there, the real one, each with a namespace of its own.
pub(crate) struct Peers {
    peers: Vec<Peer>,
    fakes: Vec<OpenBao>,
}

impl Peers {
    pub(crate) async fn start() -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let started = STARTED.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        let base = format!("fake-{}-{started}", now.as_nanos());
        let bao = OpenBao::start().await;
        let fake = bao.create_namespace(&base);
        let mut peers = vec![Peer::fake(&fake, &base)];
        let real = ["PIPE_TEST_BAO_ADDR", "PIPE_TEST_BAO_TOKEN"].map(std::env::var);
        if let [Ok(address), Ok(root)] = real {
            let peer = Peer::new(&address, &root, &base);
            peer.admin("..", "POST", &format!("sys/namespaces/{base}"), json!({})).await;
            peer.mount("").await;
            peers.push(peer);
        }
        Self { peers, fakes: vec![fake] }
    }

    pub(crate) fn fake(&self) -> &OpenBao {
        &self.fakes[0]
    }

    pub(crate) fn real(&mut self) -> Option<&mut Peer> {
        self.peers.get_mut(1)
    }

    pub(crate) fn set(&mut self, name: &str, value: String) {
        for peer in &mut self.peers {
            peer.set(name, &value);
        }
    }

    /// Calls the token of the last answer by this name.
    pub(crate) fn keep_token(&mut self, name: &str) {
        for peer in &mut self.peers {
            let answer = serde_json::from_str::<Value>(&peer.last.body).expect("a login is JSON");
            peer.set(name, text(&answer["auth"]["client_token"]));
        }
    }

    pub(crate) async fn namespace(&mut self, name: &str) {
        let _ = self.fake().create_namespace(name);
        if let Some(real) = self.real() {
            real.admin("", "POST", &format!("sys/namespaces/{name}"), json!({})).await;
            real.mount(name).await;
        }
    }

    pub(crate) async fn policy(
        &mut self,
        name: &str,
        rules: &[(&str, &[&str])],
        page_limit: Option<u32>,
    ) {
        self.fake().put_policy(name, rules);
        if let Some(real) = self.real() {
            let rules = rules.iter().map(|(path, capabilities)| {
                let mut rule = json!({ "capabilities": capabilities });
                if let Some(limit) = page_limit {
                    rule["pagination_limit"] = limit.into();
                }
                ((*path).to_owned(), rule)
            });
            let policy = json!({ "path": Value::Object(rules.collect()) });
            let body = json!({ "policy": policy.to_string() });
            real.admin("", "POST", &format!("sys/policies/acl/{name}"), body).await;
        }
    }

    /// A policy, and a token with it, both by this name.
    pub(crate) async fn allowed(&mut self, name: &str, rules: &[(&str, &[&str])]) {
        self.policy(name, rules, None).await;
        self.token(name, &[name], HOUR, true).await;
    }

    pub(crate) async fn token(
        &mut self,
        name: &str,
        policies: &[&str],
        ttl: Duration,
        renewable: bool,
    ) {
        let token = self.fake().create_token(policies, Some(ttl), renewable);
        self.peers[0].set(name, &token);
        if let Some(real) = self.real() {
            let ttl = format!("{}s", ttl.as_secs());
            let mut body = json!({"policies": policies, "ttl": ttl, "renewable": renewable});
            if policies.is_empty() {
                body["policies"] = json!(["default"]);
            }
            let answer = real.admin("", "POST", "auth/token/create", body).await;
            real.set(name, text(&answer["auth"]["client_token"]));
        }
    }

    /// Its ids are called `role_id` and `secret_id`.
    pub(crate) async fn approle(
        &mut self,
        name: &str,
        policies: &[&str],
        ttl: Duration,
        max_ttl: Duration,
        uses: u32,
    ) {
        let (role_id, secret_id) = self.fake().create_approle(name, policies, ttl, max_ttl, uses);
        self.peers[0].set("role_id", &role_id);
        self.peers[0].set("secret_id", &secret_id);
        if let Some(real) = self.real() {
            let role = format!("auth/approle/role/{name}");
            real.admin("", "POST", "sys/auth/approle", json!({"type": "approle"})).await;
            let body = json!({
                "token_policies": policies,
                "token_ttl": ttl.as_secs(),
                "token_max_ttl": max_ttl.as_secs(),
                "secret_id_num_uses": uses,
            });
            real.admin("", "POST", &role, body).await;
            let id = real.admin("", "GET", &format!("{role}/role-id"), Value::Null).await;
            real.set("role_id", text(&id["data"]["role_id"]));
            let id = real.admin("", "POST", &format!("{role}/secret-id"), json!({})).await;
            real.set("secret_id", text(&id["data"]["secret_id"]));
        }
    }

    pub(crate) async fn kubernetes(
        &mut self,
        review: &TokenReview,
        role: &str,
        audience: Option<&str>,
        names: &[&str],
        namespaces: &[&str],
    ) {
        let (fake, policies) = (self.fake(), ["x"]);
        fake.create_kubernetes_role(role, audience, names, namespaces, &policies, HOUR);
        if let Some(real) = self.real() {
            let enabled = json!({"type": "kubernetes"});
            real.try_admin("POST", "sys/auth/kubernetes", enabled).await;
            let config = json!({
                "kubernetes_host": review.url(),
                "kubernetes_ca_cert": STAND_IN_CA,
                "disable_local_ca_jwt": true,
                "token_reviewer_jwt": review.reviewer_token(),
            });
            real.admin("", "POST", "auth/kubernetes/config", config).await;
            let body = json!({
                "bound_service_account_names": names,
                "bound_service_account_namespaces": namespaces,
                "audience": audience,
                "token_policies": policies,
                "token_ttl": HOUR.as_secs(),
            });
            real.admin("", "POST", &format!("auth/kubernetes/role/{role}"), body).await;
        }
    }

    /// Holds these exchanges with everyone.
    pub(crate) async fn talk(&mut self, script: &str) {
        let mut lines = script.lines().filter(|line| !line.is_empty());
        while let Some(question) = lines.next() {
            let expected = lines.next().expect("an answer follows each question");
            let mut answers = Vec::new();
            for (index, peer) in self.peers.iter_mut().enumerate() {
                let answer = peer.exchange(question).await;
                let who = ["the fake", "the real one"][index];
                let shown = question.chars().take(200).collect::<String>();
                answer.expect(expected, &format!("{shown}\n  {who} answered"));
                peer.last = answer.clone();
                answers.push(answer);
            }
            if let [fake, real] = answers.as_slice() {
                assert_eq!(fake.outline(), real.outline(), "fake and real differ: {question}");
            }
        }
    }
}

pub(crate) struct Peer {
    host: String,
    base: String,
    words: BTreeMap<String, String>,
    last: Answer,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// 0 when there was no whole answer.
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Peer {
    pub(crate) fn new(address: &str, root: &str, base: &str) -> Self {
        let mut peer = Self {
            host: address.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            base: base.to_owned(),
            words: BTreeMap::new(),
            last: Answer::default(),
        };
        peer.set("root", root);
        peer
    }

    pub(crate) fn fake(bao: &OpenBao, base: &str) -> Self {
        Self::new(&bao.address(), &bao.root_token(), base)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.words.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) async fn exchange(&self, question: &str) -> Answer {
        let mut words = question.splitn(4, ' ');
        let [who, method, path] = [(); 3].map(|()| words.next().expect("who, method and path"));
        let mut body = words.next().unwrap_or_default().to_owned();
        // In reverse order, so that `$name_2` goes before `$name`.
        for (name, value) in self.words.iter().rev() {
            body = body.replace(&format!("${name}"), value);
        }
        let (token, namespace) = who.split_once('@').unwrap_or((who, ""));
        let namespace = match namespace {
            ".." => String::new(),
            "" => self.base.clone(),
            slashed if slashed.starts_with('/') => format!("/{}{slashed}", self.base),
            child => format!("{}/{child}", self.base),
        };
        let (scheme, token) = token.split_once(':').unwrap_or(("", token));
        let token = self.words.get(token).map_or(token, String::as_str);
        let bearer = format!("Bearer {token}");
        let shown = match scheme {
            "bearer" => ("Authorization", bearer.as_str()),
            "bao" => ("X-Bao-Token", token),
            _ => ("X-Vault-Token", token),
        };
        let mut headers = Vec::new();
        headers.extend((token != "-").then_some(shown));
        headers.extend((!namespace.is_empty()).then_some(("X-Vault-Namespace", &*namespace)));
        self.ask(method, path, &headers, &body).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = format!("{method} /v1/{path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head +=
                &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        let Ok(mut stream) = TcpStream::connect(&self.host).await else {
            return Answer::default();
        };
        let (mut reading, mut writing) = stream.split();
        let mut received = Vec::new();
        let write = async {
            writing.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await
        };
        // A server may answer and hang up before it has read everything.
        let _ = tokio::join!(write, reading.read_to_end(&mut received));
        Answer::parse(&received).unwrap_or_default()
    }

    /// Asks as root in a namespace below the base, for what must succeed.
    pub(crate) async fn admin(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.exchange(&format!("root@{namespace} {method} {path} {body}")).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// The same in the base, for what may have been done before.
    pub(crate) async fn try_admin(&self, method: &str, path: &str, body: Value) {
        self.exchange(&format!("root {method} {path} {body}")).await;
    }

    pub(crate) async fn mount(&self, namespace: &str) {
        let options = json!({"type": "kv", "options": {"version": "2"}});
        self.admin(namespace, "POST", "sys/mounts/secret", options).await;
        for _ in 0..100 {
            let answer = self.exchange(&format!("root@{namespace} GET secret/config")).await;
            if answer.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the mount does not come up");
    }
}

impl Answer {
    pub(crate) fn parse(received: &[u8]) -> Option<Self> {
        let received = String::from_utf8_lossy(received);
        let (head, body) = received.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = headers.collect::<BTreeMap<_, _>>();
        let mut whole = body.to_owned();
        if headers.contains_key("transfer-encoding") {
            whole.clear();
            let mut rest = body;
            loop {
                let (size, chunk) = rest.split_once("\r\n")?;
                let size = usize::from_str_radix(size, 16).ok()?;
                if size == 0 {
                    break;
                }
                whole += chunk.get(..size)?;
                rest = chunk.get(size + 2..)?;
            }
        }
        let announced = headers.get("content-length").and_then(|length| length.parse().ok());
        if announced.is_some_and(|length: usize| whole.len() < length) {
            return None;
        }
        Some(Self { status, headers, body: whole })
    }

    pub(crate) fn expect(&self, expected: &str, context: &str) {
        let (status, body) = expected.split_once(' ').unwrap_or((expected, ""));
        let body = serde_json::from_str::<Value>(body).unwrap_or_else(|_| body.into());
        let answered = self.body.trim().to_owned();
        let answered = serde_json::from_str(&answered).unwrap_or(Value::String(answered));
        let fits = self.status.to_string() == status && covers(&body, &answered);
        assert!(fits, "{context}\n  {} {answered}\n  instead of\n  {expected}", self.status);
    }

    /// What two servers must have in common: status, headers, and the body but for its texts.
    pub(crate) fn outline(&self) -> (u16, Vec<Option<&String>>, Value) {
        let headers = ["cache-control", "connection", "content-type", "location", "retry-after"];
        let headers = headers.into_iter().map(|name| self.headers.get(name));
        let body = serde_json::from_str(self.body.trim()).unwrap_or_default();
        (self.status, headers.collect(), outline(body))
    }
}

/// Whether an answer has what is expected: objects may have more, `"*"` is any text but none.
fn covers(expected: &Value, answered: &Value) -> bool {
    match (expected, answered) {
        (Value::Object(expected), Value::Object(answered)) => {
            let is_error = answered.contains_key("errors") && !expected.is_empty();
            (!is_error || expected.len() == answered.len())
                && expected.iter().all(|(key, value)| {
                    answered.get(key).is_some_and(|answered| covers(value, answered))
                })
        }
        (Value::Array(expected), Value::Array(answered)) => {
            let same = expected.len() == answered.len();
            same && expected.iter().zip(answered).all(|(one, other)| covers(one, other))
        }
        (Value::String(any), Value::String(text)) if any == "*" => !text.is_empty(),
        _ => expected == answered,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("what was asked for is there, and text")
}

fn outline(value: Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => "".into(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        Value::Array(items) => items.into_iter().map(outline).collect(),
        Value::Object(members) => {
            let outlined = members.into_iter().map(|(key, value)| (key, outline(value)));
            Value::Object(outlined.collect())
        }
        other => other,
    }
}
