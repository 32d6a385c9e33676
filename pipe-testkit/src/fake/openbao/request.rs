//! A request as OpenBao reads it, before it asks who sent it.

use serde_json::{Map, Value};

use super::super::http::Call;
use super::answers::{self, HTML, Reply};

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Update,
    Delete,
    List,
    Scan,
    Patch,
    Head,
}

/// One request to the API.
#[derive(Debug)]
pub(super) struct ApiRequest {
    pub(super) operation: Operation,
    /// Decoded, without `/v1/`; a listing's ends in a slash.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Map<String, Value>,
    pub(super) token: Option<String>,
    /// Without slashes around it; empty is the root namespace.
    pub(super) namespace: String,
}

/// OpenBao's default for `max_request_json_strings`.
const MAX_JSON_STRINGS: usize = 1000;

impl ApiRequest {
    /// Reads a request; what is wrong with it as HTTP is answered at once.
    pub(super) fn read(call: &Call) -> Result<Self, Reply> {
        redirect_to_clean_path(call)?;
        let bad_request = || Reply::new(400, "text/plain; charset=utf-8", "400 Bad Request").bare();
        let path = decode(&call.path, false).ok_or_else(bad_request)?;
        let Some(path) = path.strip_prefix("/v1/") else {
            return Err(match path.as_str() {
                "/" => redirect(call, "/ui/"),
                _ => answers::missing(),
            });
        };
        if path.contains(char::is_control) {
            return Err(Reply::new(400, "", "").bare());
        }
        if path.split('/').any(|part| part == "..") {
            return Err(answers::error(400, "relative paths not supported"));
        }
        let namespace = call.header("x-vault-namespace").unwrap_or_default();
        let namespace = namespace.trim().trim_matches('/');
        let namespace = if namespace == "root" { "" } else { namespace };
        if path.starts_with("sys/health") && !namespace.is_empty() {
            return Err(answers::error(400, "operation unavailable in namespaces"));
        }
        let query = query(&call.query);
        let operation = operation(call, &query)?;
        let body = match operation {
            Operation::Update => body(call)?,
            _ => Map::new(),
        };
        let lists = matches!(operation, Operation::List | Operation::Scan);
        let slash = if lists && !path.ends_with('/') { "/" } else { "" };
        Ok(Self {
            operation,
            path: format!("{path}{slash}"),
            query,
            body,
            token: token(call).map(str::to_owned),
            namespace: namespace.to_owned(),
        })
    }

    /// A parameter of the query, when it is there.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A whole number of the query; absent and empty are 0.
    pub(super) fn number(&self, name: &str) -> Result<i64, Reply> {
        match self.parameter(name).unwrap_or_default() {
            "" => Ok(0),
            text => text.parse().map_err(|_| {
                let text = format!(
                    "Field validation failed: error converting input for field {name:?}: '' \
                     cannot parse value as 'int': strconv.ParseInt: invalid syntax"
                );
                answers::error(400, &text)
            }),
        }
    }
}

/// The token a request shows: `X-Vault-Token`, else a bearer token.
pub(super) fn token(call: &Call) -> Option<&str> {
    let bearer = || call.header("authorization")?.strip_prefix("Bearer ");
    call.header("x-vault-token").filter(|token| !token.is_empty()).or_else(bearer)
}

fn redirect(call: &Call, location: &str) -> Reply {
    let reply = match call.method.as_str() {
        "GET" => {
            Reply::new(307, HTML, format!("<a href=\"{location}\">Temporary Redirect</a>.\n\n"))
        }
        _ => Reply::new(307, "", ""),
    };
    reply.with("Location", location)
}

fn redirect_to_clean_path(call: &Call) -> Result<(), Reply> {
    let mut clean = Vec::new();
    for part in call.path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(clean.pop()),
            _ => clean.push(part),
        }
    }
    let slash = if call.path.ends_with('/') && !clean.is_empty() { "/" } else { "" };
    let clean = format!("/{}{slash}", clean.join("/"));
    if clean == call.path {
        return Ok(());
    }
    let mark = if call.query.is_empty() { "" } else { "?" };
    Err(redirect(call, &format!("{clean}{mark}{}", call.query)))
}

fn operation(call: &Call, query: &[(String, String)]) -> Result<Operation, Reply> {
    let flag = |name: &str| {
        let given = query.iter().find(|(key, value)| key == name && !value.is_empty());
        match given.map(|(_, value)| value.as_str()) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(_) => Err(answers::errors(400, &[])),
        }
    };
    Ok(match call.method.as_str() {
        "GET" if flag("list")? => Operation::List,
        "GET" if flag("scan")? => Operation::Scan,
        "GET" => Operation::Read,
        "POST" | "PUT" => Operation::Update,
        "DELETE" => Operation::Delete,
        "LIST" => Operation::List,
        "SCAN" => Operation::Scan,
        "HEAD" => Operation::Head,
        "PATCH" => {
            let given = call.header("content-type").unwrap_or_default();
            if given != "application/merge-patch+json" {
                let text = "PATCH requires Content-Type of application/merge-patch+json, provided ";
                return Err(answers::error(415, &format!("{text}{given}")));
            }
            Operation::Patch
        }
        "OPTIONS" => {
            return Err(answers::error(400, "cannot handle internal-only request operation"));
        }
        _ => return Err(answers::errors(405, &[])),
    })
}

fn body(call: &Call) -> Result<Map<String, Value>, Reply> {
    let Some(bytes) = &call.body else {
        let reply = answers::error(413, "http: request body too large");
        return Err(reply.bare().with("Connection", "close"));
    };
    if json_strings(bytes) > MAX_JSON_STRINGS {
        let text = "refused JSON input due to high complexity: exceeded maximum number of strings";
        return Err(answers::error(400, text));
    }
    let refused = |reason: String| {
        let text = format!("failed to decode JSON input: {reason}");
        answers::error(400, &text)
    };
    let kind = match first_json_value(bytes).map_err(refused)? {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(body)) => return Ok(body),
        Some(Value::Array(_)) => "array",
        Some(Value::String(_)) => "string",
        Some(Value::Number(_)) => "number",
        Some(Value::Bool(_)) => "bool",
    };
    Err(refused(format!(
        "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    )))
}

/// Go's decoder takes the first value and leaves what follows it, if that looks like JSON.
fn first_json_value(bytes: &[u8]) -> Result<Option<Value>, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let reason = |error: serde_json::Error| {
        if error.is_eof() {
            return "unexpected EOF".to_owned();
        }
        let line = text.lines().nth(error.line().saturating_sub(1));
        let found = line.and_then(|line| line.get(error.column().saturating_sub(1)..));
        let found = found.and_then(|rest| rest.chars().next()).unwrap_or_default();
        format!("invalid character {found:?} looking for beginning of value")
    };
    let first = values.next().transpose().map_err(reason)?;
    values.next().transpose().map_err(reason)?;
    Ok(first)
}

/// How many strings a JSON text has: keys and values alike.
fn json_strings(json: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => {
                count += usize::from(!inside);
                inside = !inside;
            }
            _ => {}
        }
    }
    count
}

fn query(raw: &str) -> Vec<(String, String)> {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter_map(|(key, value)| Some((decode(key, true)?, decode(value, true)?))).collect()
}

/// Percent-decodes; `None` when an escape is none.
fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let hex = |byte: u8| char::from(byte).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(hex(bytes.next()?)? * 16 + hex(bytes.next()?)?).ok()?,
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}
