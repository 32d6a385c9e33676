//! A real kube-apiserver with an etcd of its own, on the loopback interface.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::api::{Api, Login};
use crate::credentials::{Certificate, Credentials, User};
use crate::flags::{self, Files};
use crate::process::{Processes, assets_or_skip, free_port};

/// A start takes six seconds where two cores are idle, and many times that where they are not.
const DEADLINE: Duration = Duration::from_secs(180);

const API_SERVER: &str = "kube-apiserver";
const ETCD: &str = "etcd";

/// The server that tests share which leave it running; each takes a namespace of its own in it.
///
/// `None` where no server is installed, which is a failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) async fn shared() -> Option<&'static Server> {
    static SHARED: OnceCell<Option<Server>> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await.as_ref()
}

/// A running API server with RBAC. It ends, and its data with it, when this is dropped.
///
/// Nothing runs beside it: no controller makes service accounts, ends namespaces or starts pods.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    credentials: Credentials,
    admin: Api,
    etcd: Api,
    arguments: Vec<String>,
    processes: Processes,
}

impl Server {
    /// `None` where no server is installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// Like [`start`](Self::start), with more flags for the API server.
    pub(crate) async fn start_with(flags: &[&str]) -> Option<Self> {
        let processes = Processes::new(assets_or_skip()?);
        let credentials = Credentials::generate();
        let url = format!("https://127.0.0.1:{}", free_port());
        let etcd_url = format!("https://127.0.0.1:{}", free_port());
        let ca = credentials.ca();
        let login = Login::Certificate(&credentials.admin);
        let (admin, etcd) = (Api::new(&url, &ca, login), Api::new(&etcd_url, &ca, login));

        let files = Files::write(&processes, &credentials);
        let etcd_arguments = flags::etcd(&files, &etcd_url, &processes.path("data"));
        let mut arguments = flags::api_server(&files, &url, &etcd_url);
        arguments.extend(flags.iter().map(ToString::to_string));
        let mut server = Self { url, credentials, admin, etcd, arguments, processes };
        server.processes.start(ETCD, &etcd_arguments);
        server.ready(ETCD).await;
        server.restart().await;
        Some(server)
    }

    /// Where clients find the server. It is also the issuer of service accounts' tokens, and their
    /// audience where none is asked for.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The certificate authority of the server and of its clients, in PEM.
    pub(crate) fn ca(&self) -> String {
        self.credentials.ca()
    }

    /// A bearer token.
    pub(crate) fn token(&self, user: User) -> &str {
        self.credentials.token(user)
    }

    /// The certificate of `cert-admin`, who may do everything.
    pub(crate) fn admin_certificate(&self) -> &Certificate {
        &self.credentials.admin
    }

    /// A certificate that makes its holder this user, in this group. There may be any number.
    pub(crate) fn certificate(&self, user: &str, group: Option<&str>) -> Certificate {
        self.credentials.client(user, group)
    }

    /// A token with these claims, signed with the key of service accounts: for those that the server
    /// itself would not issue.
    pub(crate) fn signed_token(&self, claims: &Value) -> String {
        self.credentials.sign(claims)
    }

    /// Requests as one who may do everything.
    pub(crate) fn admin(&self) -> &Api {
        &self.admin
    }

    /// Requests as somebody else.
    pub(crate) fn api(&self, login: Login<'_>) -> Api {
        Api::new(&self.url, &self.ca(), login)
    }

    /// A kubeconfig whose one context, `live`, is for this login and this namespace.
    ///
    /// It is JSON, which is YAML as well.
    pub(crate) fn kubeconfig(&self, login: Login<'_>, namespace: &str) -> String {
        let user = match login {
            Login::Anonymous => json!({}),
            Login::Token(token) => json!({ "token": token }),
            Login::Certificate(certificate) => json!({
                "client-certificate-data": BASE64_STANDARD.encode(&certificate.certificate),
                "client-key-data": BASE64_STANDARD.encode(&certificate.key),
            }),
        };
        let ca = BASE64_STANDARD.encode(self.ca());
        let cluster = json!({ "server": self.url, "certificate-authority-data": ca });
        let context = json!({ "cluster": "live", "user": "live", "namespace": namespace });
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "live",
            "clusters": [{ "name": "live", "cluster": cluster }],
            "contexts": [{ "name": "live", "context": context }],
            "users": [{ "name": "live", "user": user }],
        });
        format!("{config:#}\n")
    }

    /// Writes a file, such as a kubeconfig or a token, that goes with the server.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        self.processes.write(name, content)
    }

    /// Ends the API server as a crash would. etcd, and so the data, stays.
    pub(crate) fn kill(&mut self) {
        self.processes.kill(API_SERVER);
    }

    /// Starts the API server, once [killed](Self::kill), at the same address.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.processes.start(API_SERVER, &self.arguments);
        self.ready(API_SERVER).await;
    }

    /// Makes etcd forget all revisions before the present one, which is returned. The API server
    /// need not run.
    ///
    /// Then it answers 410 to whoever continues a list from before. A watch from before gets a 410
    /// after a [restart](Self::restart) only, since the API server remembers the last changes.
    pub(crate) async fn compact(&self) -> u64 {
        let any = json!({ "key": BASE64_STANDARD.encode("/"), "count_only": true });
        let (status, answer) = self.etcd.post("/v3/kv/range", &any).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let revision = &answer["header"]["revision"];
        let request = json!({ "revision": revision, "physical": true });
        let (status, answer) = self.etcd.post("/v3/kv/compaction", &request).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        revision.as_str().and_then(|text| text.parse().ok()).expect("a revision is a number")
    }

    async fn ready(&mut self, name: &'static str) {
        let (api, path) = match name {
            ETCD => (&self.etcd, "/health"),
            _ => (&self.admin, "/readyz"),
        };
        let start = Instant::now();
        while !api.is_ok(path).await {
            let exit = self.processes.exit(name);
            if exit.is_some() || start.elapsed() > DEADLINE {
                let log = self.processes.log(name);
                panic!("{name} does not get ready, exit {exit:?}:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
