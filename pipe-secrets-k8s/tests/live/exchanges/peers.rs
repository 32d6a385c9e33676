//! Holds the exchanges with the fake server and, when it is there, with the real one.

use std::collections::BTreeMap;

use pipe_testkit::fake::{API_SERVER_AUDIENCE, Kubernetes, Rule, STAND_IN_CA, service_account_jwt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Login};
use crate::server::{Server, shared};
use crate::setup::Subject;

/// The release whose answers the fake gives.
const CAPTURED: u32 = 36;

/// The namespace of the fake, which is an own one for every test.
const NAMESPACE: &str = "exchanges";

/// Who may get, list, watch and patch the Secrets `a` and `named`.
const LIMITED: &str = "limited";
const LIMITED_VERBS: [&str; 4] = ["get", "list", "watch", "patch"];
const LIMITED_NAMES: [&str; 2] = ["a", "named"];

/// The fake server and, when it is there, the real one, each with a namespace of its own.
///
/// Their users are `admin`, `nobody` and `anonymous`, `stranger` with an unknown token, `limited`,
/// and the service account `app` with tokens for the server (`app`) and for `elsewhere`.
pub(crate) struct Peers {
    peers: Vec<Peer>,
    /// Ends when this is dropped.
    _fake: Kubernetes,
}

struct Peer {
    who: &'static str,
    /// The minor number of its version.
    release: u32,
    users: BTreeMap<&'static str, Api>,
    words: BTreeMap<String, String>,
    last: Value,
}

/// An answer, as far as servers agree on it.
struct Answer {
    status: u16,
    headers: BTreeMap<&'static str, String>,
    /// Text where it is not JSON.
    body: Value,
}

impl Peers {
    pub(crate) async fn start() -> Self {
        let fake = Kubernetes::start().await;
        let mut peers = vec![Peer::fake(&fake)];
        if let Some(server) = shared().await {
            peers.push(Peer::real(server).await);
        }
        Self { peers, _fake: fake }
    }

    /// Holds these exchanges with everyone.
    pub(crate) async fn talk(&mut self, script: &str) {
        let mut lines = script.lines().filter(|line| !line.is_empty()).peekable();
        while let Some(question) = lines.next() {
            if let Some(kept) = question.strip_prefix("= ") {
                let (word, pointer) = kept.split_once(' ').expect("a word and where it stands");
                self.peers.iter_mut().for_each(|peer| peer.keep(word, pointer));
                continue;
            }
            let expected = lines.next().expect("an answer follows each question");
            self.hold(question, expected).await;
        }
    }

    async fn hold(&mut self, question: &str, expected: &str) {
        let (since, plain) = match question.split_once(": ") {
            Some((since, plain)) if since.starts_with("1.") => (since, plain),
            _ => ("1.0", question),
        };
        let since = since[2..].parse::<u32>().expect("a release is 1 and a number");
        let mut outlines = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.release >= since) {
            let answer = peer.ask(plain).await;
            answer.expect(peer, question, &peer.fill(expected));
            outlines.push(answer.outline());
            peer.last = answer.body;
        }
        if let [fake, real] = outlines.as_slice() {
            let question: String = question.chars().take(300).collect();
            assert_eq!(fake, real, "the fake and the real one differ:\n  {question}");
        }
    }
}

impl Peer {
    fn fake(server: &Kubernetes) -> Self {
        server.create_namespace(NAMESPACE);
        let nobody = server.create_user("nobody", &[]);
        let limited = server.create_user(LIMITED, &[]);
        let rule = Rule::secrets(LIMITED, NAMESPACE, &LIMITED_VERBS);
        server.grant(rule.only(&LIMITED_NAMES));
        let app = server.create_service_account(NAMESPACE, "app");
        let hour = std::time::Duration::from_secs(3600);
        let elsewhere = service_account_jwt(NAMESPACE, "app", "elsewhere", hour);
        let address = server.address();
        let api = |login| Api::new(&address, STAND_IN_CA, login);
        let users = [
            ("admin", api(Login::Token(&server.admin_token()))),
            ("nobody", api(Login::Token(&nobody))),
            ("anonymous", api(Login::Anonymous)),
            ("stranger", api(Login::Token("unknown"))),
            (LIMITED, api(Login::Token(&limited))),
            ("app", api(Login::Token(&app))),
            ("elsewhere", api(Login::Token(&elsewhere))),
        ];
        let words = [
            ("ns", NAMESPACE),
            ("audience", API_SERVER_AUDIENCE),
            ("app", &app),
            ("elsewhere", &elsewhere),
        ];
        Self::new("the fake", CAPTURED, users, words)
    }

    async fn real(server: &Server) -> Self {
        let admin = server.admin();
        let namespace = admin.fresh_namespace().await;
        admin.service_account(&namespace, "app").await;
        let rules = json!([{
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": LIMITED_NAMES,
            "verbs": LIMITED_VERBS,
        }]);
        admin.grant(&namespace, LIMITED, Subject::User(LIMITED), &rules).await;
        let app = admin.service_account_token(&namespace, "app", &[]).await;
        let elsewhere = admin.service_account_token(&namespace, "app", &["elsewhere"]).await;
        let users = [
            ("admin", admin.clone()),
            ("nobody", server.api(Login::Certificate(&server.certificate("nobody", None)))),
            ("anonymous", server.api(Login::Anonymous)),
            ("stranger", server.api(Login::Token("unknown"))),
            (LIMITED, server.api(Login::Certificate(&server.certificate(LIMITED, None)))),
            ("app", server.api(Login::Token(&app))),
            ("elsewhere", server.api(Login::Token(&elsewhere))),
        ];
        let (_, version) = admin.get("/version").await;
        let minor = version["minor"].as_str().expect("the server tells its version");
        let release = minor.trim_end_matches('+').parse().expect("it is a number");
        let words = [
            ("ns", namespace.as_str()),
            ("audience", server.url()),
            ("app", &app),
            ("elsewhere", &elsewhere),
        ];
        Self::new("the real one", release, users, words)
    }

    fn new<const N: usize, const M: usize>(
        who: &'static str,
        release: u32,
        users: [(&'static str, Api); N],
        words: [(&str, &str); M],
    ) -> Self {
        let words = words.map(|(word, value)| (word.to_owned(), value.to_owned()));
        Self { who, release, users: users.into(), words: words.into(), last: Value::Null }
    }

    fn keep(&mut self, word: &str, pointer: &str) {
        let value = self.last.pointer(pointer).and_then(Value::as_str);
        let value = value.unwrap_or_else(|| panic!("{} said no {word}: {}", self.who, self.last));
        self.words.insert(word.to_owned(), value.to_owned());
    }

    fn fill(&self, text: &str) -> String {
        // In reverse order, so that `$name_2` goes before `$name`.
        let words = self.words.iter().rev();
        words.fold(text.to_owned(), |text, (word, value)| text.replace(&format!("${word}"), value))
    }

    async fn ask(&self, question: &str) -> Answer {
        let question = self.fill(question);
        let mut words = question.splitn(4, ' ');
        let [who, verb, path] = [(); 3].map(|()| words.next().expect("who, verb and path"));
        let body = words.next().unwrap_or_default();
        let body = match body.strip_prefix("+{") {
            Some(rest) => format!(r#"{{"apiVersion":"v1","kind":"Secret",{rest}"#),
            None => body.to_owned(),
        };
        let (verb, header) = verb.split_once(':').unwrap_or((verb, ""));
        let patch = |kind: &str| (Method::PATCH, format!("application/{kind}"));
        let (method, kind) = match verb {
            "APPLY" => patch("apply-patch+yaml"),
            "MERGE" => patch("merge-patch+json"),
            "STRATEGIC" => patch("strategic-merge-patch+json"),
            "STEPS" => patch("json-patch+json"),
            verb => (verb.parse().expect("a method of HTTP"), "application/json".to_owned()),
        };
        let header = match (&method, header) {
            (_, "") if body.is_empty() => None,
            (_, "") => Some(("content-type", kind.as_str())),
            (&Method::GET, accept) => Some(("accept", accept)),
            (_, kind) => Some(("content-type", kind)),
        };
        let user = self.users.get(who).unwrap_or_else(|| panic!("nobody is called {who}"));
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/api/v1/namespaces/{}/{path}", self.words["ns"]),
        };
        let response = user.exchange(method, &path, header.as_slice(), body).await;
        let headers = ["content-type", "retry-after", "warning"].into_iter().filter_map(|name| {
            let value = response.headers().get(name)?.to_str().expect("headers are text");
            Some((name, value.to_owned()))
        });
        let headers = headers.collect();
        let status = response.status().as_u16();
        let text = response.text().await.expect("the answer has a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }
}

impl Answer {
    fn expect(&self, peer: &Peer, question: &str, expected: &str) {
        let (status, body) = expected.split_once(' ').unwrap_or((expected, "{}"));
        let mut body = serde_json::from_str::<Value>(body).unwrap_or_else(|_| body.into());
        // Older servers say the same in other words.
        if peer.release < CAPTURED {
            strip_messages(&mut body);
        }
        let fits = self.status.to_string() == status && covers(&body, &self.body);
        let Self { status, body, .. } = self;
        let question: String = question.chars().take(300).collect();
        assert!(
            fits,
            "{question}\n  {} answered\n  {status} {body}\n  instead of\n  {expected}",
            peer.who
        );
    }

    /// What two servers must have in common, whatever their releases.
    fn outline(&self) -> Value {
        let details = &self.body["details"];
        let body = match &self.body {
            status if status["kind"] == "Status" => json!({
                "reason": status["reason"],
                "about": [details["kind"], details["name"], details["group"]],
                "causes": details["causes"].as_array().map(|causes| {
                    let plain = |cause: &Value| json!([cause["reason"], cause["field"]]);
                    causes.iter().map(plain).collect::<Vec<_>>()
                }),
            }),
            list if list["items"].is_array() => {
                let items = list["items"].as_array().into_iter().flatten();
                json!([
                    list["kind"],
                    keys(&list["metadata"]),
                    items.map(object).collect::<Vec<_>>()
                ])
            }
            Value::Object(_) => object(&self.body),
            text => text.clone(),
        };
        json!([self.status, self.headers, body])
    }
}

/// What is sure of an object: the names of its fields, and of a Secret its data and who owns what.
fn object(object: &Value) -> Value {
    let status = &object["status"];
    let status = match status {
        Value::Object(_) => json!([status["allowed"], keys(status)]),
        status => status.clone(),
    };
    if !matches!(object["kind"].as_str(), None | Some("Secret" | "PartialObjectMetadata")) {
        return json!([keys(object), status]);
    }
    let owners = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owners = owners.map(|owner| {
        let mut fields = Vec::new();
        leaves("", &owner["fieldsV1"], &mut fields);
        (owner["manager"].as_str(), owner["operation"].as_str(), fields)
    });
    // Who owns nothing but an empty map owns nothing.
    let owners = owners.filter(|(_, _, fields)| !fields.is_empty());
    json!({
        "fields": keys(object),
        "metadata": keys(&object["metadata"]),
        "data": object["data"],
        "owners": owners.collect::<Vec<_>>(),
    })
}

/// The paths of fields in a set of them, without the maps around them.
fn leaves(path: &str, set: &Value, found: &mut Vec<String>) {
    let map = ["/f:data", "/f:metadata", "/f:metadata/f:labels", "/f:stringData", ""];
    let members = set.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    let mut is_leaf = !map.contains(&path);
    for (name, inner) in members {
        is_leaf = false;
        leaves(&format!("{path}/{name}"), inner, found);
    }
    if is_leaf {
        found.push(path.to_owned());
    }
}

fn keys(value: &Value) -> Value {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn strip_messages(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip_messages),
        Value::Object(members) => {
            members.remove("message");
            members.values_mut().for_each(strip_messages);
        }
        _ => {}
    }
}

/// Whether an answer has what is expected: objects may have more, `"*"` is any text but none.
fn covers(expected: &Value, answered: &Value) -> bool {
    match (expected, answered) {
        (Value::Object(expected), Value::Object(answered)) => {
            expected.iter().all(|(key, value)| match answered.get(key) {
                Some(answered) => covers(value, answered),
                // What must not be there is expected as null.
                None => value.is_null(),
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
