//! A real Cognee server for the live tests, with a stub in the place of its models.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use std::{env, str};

use http::{HeaderValue, Method};
use pipe_core::SecretSource;
use pipe_core::memory::{Domain, GovernanceMemory as _};
use pipe_http::{HttpClient, HttpConfig};
use pipe_memory_cognee::{Auth, Cognee, CogneeConfig};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

/// A start takes 20 seconds on a machine that has nothing else to do, and many times that on one which
/// others use. A server that has ended is told at once.
const DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long an answer may take: what is tested is what it says, and not how soon.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// While a server starts, it is given what the machine has.
static STARTING: Semaphore = Semaphore::const_new(1);
const USER: &str = "default_user@example.com";

/// Whether the server asks who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posture {
    AccessControl,
    Open,
}

/// The server that tests share; each takes a dataset of its own.
///
/// `None` where no server can be had, which is a failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) async fn shared() -> Option<&'static Server> {
    static SHARED: OnceCell<Option<Server>> = OnceCell::const_new();
    static TURN: Semaphore = Semaphore::const_new(1);
    let start = || Server::start_in_turn(Posture::AccessControl, &TURN);
    SHARED.get_or_init(start).await.as_ref()
}

/// A memory that was used before its server was killed. `None` where no server can be had.
pub(crate) async fn killed() -> Option<Cognee> {
    static KILLED: OnceCell<Option<(Server, Cognee)>> = OnceCell::const_new();
    static TURN: Semaphore = Semaphore::const_new(1);
    let start = || async {
        let mut server = Server::start_in_turn(Posture::AccessControl, &TURN).await?;
        let memory = server.memory();
        let domain = Domain::new("a".parse().expect("legal"));
        memory.add_datapoints(&[domain.into()], &[]).await.expect("the import");
        server.kill();
        Some((server, memory))
    };
    KILLED.get_or_init(start).await.as_ref().map(|(_, memory)| memory.clone())
}

/// A running server. It ends, and its data with it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    stub: u16,
    posture: Posture,
    python: PathBuf,
    directory: PathBuf,
    password: String,
    key: String,
    processes: [Option<Child>; 2],
    watchdog: Child,
    _turn: SemaphorePermit<'static>,
}

impl Server {
    /// A server of the caller's own. There is one beside the shared one at a time: each takes half a
    /// gigabyte, and most of a core while it starts.
    pub(crate) async fn start(posture: Posture) -> Option<Self> {
        static TURNS: Semaphore = Semaphore::const_new(1);
        Self::start_in_turn(posture, &TURNS).await
    }

    async fn start_in_turn(posture: Posture, turns: &'static Semaphore) -> Option<Self> {
        let python = python_or_skip()?;
        let turn = turns.acquire().await.expect("nobody closes it");
        let (port, stub) = (free_port(), free_port());
        let directory = env::temp_dir().join(format!("pipe-cognee-{}-{port}", process::id()));
        fs::create_dir_all(&directory).expect("create the server's directory");
        let mut server = Self {
            port,
            stub,
            posture,
            watchdog: watchdog(&directory),
            python,
            directory,
            password: format!("password-{:016x}", fastrand::u64(..)),
            key: String::new(),
            processes: [None, None],
            _turn: turn,
        };
        server.start_process().await;
        if posture == Posture::AccessControl {
            server.key = server.create_key().await;
        }
        Some(server)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn api_key(&self) -> SecretSource {
        SecretSource::Value(self.key.as_str().into())
    }

    pub(crate) fn login(&self) -> Auth {
        Auth::login(USER, SecretSource::Value(self.password.as_str().into()))
    }

    /// A token of the login form.
    pub(crate) async fn token(&self) -> String {
        self.token_of(USER, &self.password).await
    }

    async fn token_of(&self, user: &str, password: &str) -> String {
        let form = format!("username={user}&password={password}");
        let form_type = "application/x-www-form-urlencoded";
        let answer =
            self.send(Method::POST, "api/v1/auth/login", form_type, form.into_bytes(), None).await;
        answer["access_token"].as_str().expect("the login gives a token").to_owned()
    }

    /// A memory in a dataset that nobody used before.
    pub(crate) fn memory(&self) -> Cognee {
        self.memory_in(&format!("pipe-live-{:016x}", fastrand::u64(..)))
    }

    pub(crate) fn memory_in(&self, dataset: &str) -> Cognee {
        let auth = match self.posture {
            Posture::AccessControl => Auth::api_key(self.api_key()),
            Posture::Open => Auth::None,
        };
        self.memory_as(auth, dataset)
    }

    pub(crate) fn memory_as(&self, auth: Auth, dataset: &str) -> Cognee {
        let config = CogneeConfig::new(self.address(), auth)
            .with_dataset(dataset)
            .with_http(HttpConfig::new().with_timeout(PATIENCE))
            .with_write_timeout(2 * PATIENCE)
            .with_cognify_timeout(4 * PATIENCE);
        Cognee::new(config).expect("the settings are sound")
    }

    /// How many nodes and edges a dataset has, as the server counts them.
    pub(crate) async fn graph_size(&self, dataset: &str) -> (usize, usize) {
        let id = self.dataset(dataset).await;
        let graph = self.get(self.port, &format!("api/v1/datasets/{id}/graph"), PATIENCE).await;
        let graph = graph.expect("the graph");
        let count = |what: &str| graph[what].as_array().map_or(0, Vec::len);
        (count("nodes"), count("edges"))
    }

    /// How often a language model was asked for something since the server was started first.
    pub(crate) async fn chat_calls(&self) -> u64 {
        let counts = self.get(self.stub, "", PATIENCE).await.expect("the stub answers");
        assert!(counts["embeddings"].as_u64() > Some(0), "the stub was not used at all: {counts}");
        counts["chat"].as_u64().expect("a number")
    }

    /// Ends the server as a crash would, and keeps its data. The stub goes on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.processes[1].take() {
            server.kill().and_then(|()| server.wait()).expect("end the server");
        }
    }

    /// Starts a killed server at the same address.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.start_process().await;
    }

    async fn start_process(&mut self) {
        let _alone = STARTING.acquire().await.expect("nobody closes it");
        self.spawn();
        self.is_ready().await;
    }

    async fn create_key(&self) -> String {
        self.create_key_of(&self.token().await).await.0
    }

    /// An API key, and its id.
    async fn create_key_of(&self, token: &str) -> (String, String) {
        let answer = self.tell(Method::POST, "api/v1/auth/api-keys", r#"{"name":"live"}"#, token);
        let answer = answer.await;
        let field = |name: &str| answer[name].as_str().expect("an API key").to_owned();
        (field("key"), field("id"))
    }

    /// A memory whose API key is revoked, after it was used.
    pub(crate) async fn denied(&self) -> Cognee {
        let token = self.token().await;
        let (key, id) = self.create_key_of(&token).await;
        let key = SecretSource::Value(key.as_str().into());
        let memory = self.memory_as(Auth::api_key(key), "pipe-live-denied");
        let domain = Domain::new("a".parse().expect("legal"));
        memory.add_datapoints(&[domain.into()], &[]).await.expect("it is allowed yet");
        self.tell(Method::DELETE, &format!("api/v1/auth/api-keys/{id}"), "{}", &token).await;
        memory
    }

    /// The memory of another user, who may only read the dataset and its texts.
    pub(crate) async fn reader(&self, dataset: &str) -> Cognee {
        let email = format!("reader-{:016x}@example.com", fastrand::u64(..));
        let owner = self.token().await;
        let user = format!(r#"{{"email":"{email}","password":"{email}"}}"#);
        let user = self.tell(Method::POST, "api/v1/auth/register", &user, &owner).await;
        let user = user["id"].as_str().expect("an id").to_owned();
        for name in [dataset.to_owned(), format!("{dataset}-texts")] {
            let id = self.dataset(&name).await;
            let path = format!("api/v1/permissions/datasets/{user}?permission_name=read");
            self.tell(Method::POST, &path, &format!(r#"["{id}"]"#), &owner).await;
        }
        let password = SecretSource::Value(email.as_str().into());
        self.memory_as(Auth::login(email, password), dataset)
    }

    /// Another user, who makes a dataset of this name and shares it with ours, who makes one of that
    /// name too. The memory of the other user.
    pub(crate) async fn with_twin(&self, dataset: &str) -> Cognee {
        let email = format!("twin-{:016x}@example.com", fastrand::u64(..));
        let ours = self.token().await;
        let user = format!(r#"{{"email":"{email}","password":"{email}"}}"#);
        self.tell(Method::POST, "api/v1/auth/register", &user, &ours).await;
        let theirs = self.token_of(&email, &email).await;
        let name = format!(r#"{{"name":"{dataset}"}}"#);
        let made = self.tell(Method::POST, "api/v1/datasets", &name, &theirs).await;
        let id = made["id"].as_str().expect("an id");
        let me = self.get(self.port, "api/v1/users/me", PATIENCE).await.expect("our user");
        let me = me["id"].as_str().expect("an id");
        for right in ["read", "write"] {
            let path = format!("api/v1/permissions/datasets/{me}?permission_name={right}");
            self.tell(Method::POST, &path, &format!(r#"["{id}"]"#), &theirs).await;
        }
        self.tell(Method::POST, "api/v1/datasets", &name, &ours).await;
        self.memory_as(Auth::login(&*email, SecretSource::Value(email.as_str().into())), dataset)
    }

    /// Sends JSON with a token of the login form.
    async fn tell(&self, method: Method, path: &str, body: &str, token: &str) -> Value {
        let bearer = format!("Bearer {token}");
        let body = body.as_bytes().to_vec();
        self.send(method, path, "application/json", body, Some(&bearer)).await
    }

    /// The id of a dataset.
    async fn dataset(&self, name: &str) -> String {
        let datasets = self.get(self.port, "api/v1/datasets", PATIENCE).await;
        let datasets = datasets.expect("the datasets");
        let datasets = datasets.as_array().expect("a list");
        let found = datasets.iter().find(|found| found["name"] == *name);
        found.expect("the dataset is there")["id"].as_str().expect("an id").to_owned()
    }

    async fn is_ready(&mut self) {
        let start = Instant::now();
        while self.get(self.port, "health", Duration::from_secs(30)).await.is_none() {
            let server = self.processes[1].as_mut().expect("it was started");
            let ended = server.try_wait().expect("ask for the server's state");
            if ended.is_some() || start.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(30)..].join("\n");
                panic!("cognee is not ready, exit {ended:?}:\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn get(&self, port: u16, path: &str, timeout: Duration) -> Option<Value> {
        let http = client(port, timeout);
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let mut request = http.request(Method::GET, segments).expect("a legal path");
        if !self.key.is_empty() {
            let key = HeaderValue::from_str(&self.key).expect("a key is legal in a header");
            request.headers_mut().insert("x-api-key", key);
        }
        let answer = request.send().await.ok()?;
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
    }

    async fn send(
        &self,
        method: Method,
        whole: &str,
        content_type: &'static str,
        body: Vec<u8>,
        bearer: Option<&str>,
    ) -> Value {
        let http = client(self.port, PATIENCE);
        let (path, query) = whole.split_once('?').unzip();
        let path = path.unwrap_or(whole);
        let mut request = http.request(method, path.split('/')).expect("a legal path");
        if let Some(query) = query {
            request.set_query(query);
        }
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        if let Some(bearer) = bearer {
            headers.insert("authorization", HeaderValue::from_str(bearer).expect("legal"));
        }
        request.set_body(Zeroizing::new(body));
        let answer = request.send().await.expect("the server answers");
        assert!(matches!(answer.status, 200 | 201), "{path}: {:?}", str::from_utf8(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    fn spawn(&mut self) {
        if self.processes[0].is_none() {
            let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("../live/cognee/stub.py");
            let mut command = Command::new(&self.python);
            command.arg(stub).arg(self.stub.to_string());
            self.processes[0] = Some(self.run(command));
        }
        let mut command = Command::new(&self.python);
        command.args(["-m", "cognee.api.client"]).envs(self.environment());
        self.processes[1] = Some(self.run(command));
        let ids = self.processes.iter().flatten().map(|child| child.id().to_string());
        let line = ids.collect::<Vec<_>>().join(" ") + "\n";
        let mut input = self.watchdog.stdin.as_ref().expect("the watchdog's input is piped");
        input.write_all(line.as_bytes()).expect("write to the watchdog");
    }

    fn run(&self, mut command: Command) -> Child {
        let log = File::options().create(true).append(true).open(self.directory.join("log"));
        let log = log.expect("open the log");
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("start the server's Python")
    }

    /// Embedded stores, models of the stub, and nothing from or for the network.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let models = format!("http://127.0.0.1:{}/v1", self.stub);
        let inside = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let library = self.python.parent().and_then(Path::parent).expect("bin has a parent");
        let library = fs::read_dir(library.join("lib"))
            .expect("the environment has a library")
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages")))
            .find(|path| path.is_dir())
            .expect("the environment has packages");
        let tokenizers = library.join("litellm/litellm_core_utils/tokenizers");
        let asks = self.posture == Posture::AccessControl;
        let mut environment: Vec<(&'static str, String)> = vec![
            ("HOME", inside("home")),
            ("LLM_ENDPOINT", models.clone()),
            ("EMBEDDING_ENDPOINT", models),
            ("TIKTOKEN_CACHE_DIR", tokenizers.to_string_lossy().into_owned()),
            ("DATA_ROOT_DIRECTORY", inside("data")),
            ("SYSTEM_ROOT_DIRECTORY", inside("system")),
            ("CACHE_ROOT_DIRECTORY", inside("cache")),
            ("COGNEE_LOGS_DIR", inside("logs")),
            ("COGNEE_REPOS_DIR", inside("repos")),
            ("ENABLE_BACKEND_ACCESS_CONTROL", asks.to_string()),
            ("REQUIRE_AUTHENTICATION", asks.to_string()),
            ("DEFAULT_USER_EMAIL", USER.to_owned()),
            ("DEFAULT_USER_PASSWORD", self.password.clone()),
            ("HTTP_API_PORT", self.port.to_string()),
        ];
        let fixed = [
            ("LLM_PROVIDER", "openai"),
            ("LLM_MODEL", "openai/gpt-4o-mini"),
            ("LLM_API_KEY", "stub"),
            ("EMBEDDING_PROVIDER", "openai_compatible"),
            ("EMBEDDING_MODEL", "text-embedding-3-small"),
            ("EMBEDDING_DIMENSIONS", "384"),
            ("EMBEDDING_API_KEY", "stub"),
            // Else the server asks other hosts for these when it starts.
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("HF_HUB_OFFLINE", "1"),
            ("DB_PROVIDER", "sqlite"),
            ("VECTOR_DB_PROVIDER", "lancedb"),
            ("GRAPH_DATABASE_PROVIDER", "ladybug"),
            ("FASTAPI_USERS_JWT_SECRET", "jwt-secret-of-a-live-test-0123456789abcdef"),
            ("FASTAPI_USERS_RESET_PASSWORD_TOKEN_SECRET", "reset-secret-of-a-live-test-012345"),
            ("FASTAPI_USERS_VERIFICATION_TOKEN_SECRET", "verify-secret-of-a-live-test-01234"),
            ("TELEMETRY_DISABLED", "1"),
            ("COGNEE_SKIP_CONNECTION_TEST", "true"),
            ("COGNEE_TRACING_ENABLED", "false"),
            ("ENV", "prod"),
            ("LITELLM_LOG", "ERROR"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("OPENBLAS_NUM_THREADS", "1"),
            // With local storage this is about uploads too.
            ("ACCEPT_LOCAL_FILE_PATH", "True"),
            ("ALLOW_HTTP_REQUESTS", "False"),
            // A client needs none, and one could delete everything.
            ("ALLOW_CYPHER_QUERY", "False"),
            ("HTTP_API_HOST", "127.0.0.1"),
        ];
        environment.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        environment
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in &mut self.processes {
            if let Some(mut process) = process.take() {
                // It may have ended by itself, which is all that is wanted.
                let _ = process.kill().and_then(|()| process.wait().map(drop));
            }
        }
        // Waiting closes the watchdog's input, at which it removes the directory.
        self.watchdog.wait().expect("wait for the watchdog");
    }
}

/// Ends the processes and removes the directory once the test process has ended, whatever the reason:
/// statics are never dropped, and neither is anything when the process is killed.
fn watchdog(directory: &Path) -> Child {
    const SCRIPT: &str = r#"
        while read -r line; do servers=$line; done
        test -z "$servers" || kill -9 $servers 2>/dev/null
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        // Whoever reads the output of the test process must see it end.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C at the terminal is for the test process alone.
        .process_group(0)
        .spawn()
        .expect("start sh")
}

fn client(port: u16, timeout: Duration) -> HttpClient {
    let address = format!("http://127.0.0.1:{port}").parse().expect("an address");
    HttpClient::new(&HttpConfig::new().with_timeout(timeout), &address).expect("sound settings")
}

/// A port below those that operating systems give to outgoing connections, so that no connection of
/// another test can take one before the server does, or while it is down.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = process::id().wrapping_mul(89);
    for _ in 0..1000 {
        let next = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % 10_000;
        let port = 20_000 + u16::try_from(next).expect("10,000 fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port for a server");
}

/// The Python of the installed server, `PIPE_LIVE_COGNEE`. It is not looked for: the suite takes
/// minutes and a gigabyte, and so runs only where somebody asks for it.
fn python_or_skip() -> Option<PathBuf> {
    let python = env::var_os("PIPE_LIVE_COGNEE").map(PathBuf::from);
    if python.is_none() {
        let reason = "no cognee: set PIPE_LIVE_COGNEE to what live/cognee/install.sh prints";
        let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "{reason}");
        // Not `eprintln!`, which the test harness would capture.
        writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
    }
    python
}
