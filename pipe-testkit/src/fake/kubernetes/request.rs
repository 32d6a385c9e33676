//! A request as the API server reads it.

use std::borrow::Cow;

use serde_json::json;

use super::super::http::Call;
use super::status::{self, Cause, Reply, invalid};

/// What answers can be, as a client asks for it.
const REPRESENTATIONS: [&str; 5] = [
    "*/*",
    "application/*",
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// One request, with its query decoded.
pub(super) struct ApiRequest<'a> {
    pub(super) call: &'a Call,
    query: Vec<(String, String)>,
}

impl<'a> ApiRequest<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        let pairs = call.query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name).into_owned(), decode(value).into_owned()))
            .collect();
        Self { call, query }
    }

    /// A parameter of the query. An empty one is none.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is set to `true` or `1`.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(value.as_str(), "1" | "true"))
    }

    /// Whether only metadata is wanted.
    pub(super) fn metadata_only(&self) -> bool {
        let accept = self.call.header("accept").unwrap_or_default();
        accept.contains("as=PartialObjectMetadata")
    }

    pub(super) fn content_type(&self) -> &str {
        let header = self.call.header("content-type").unwrap_or_default();
        header.split(';').next().unwrap_or_default().trim()
    }

    /// Refuses a client that takes nothing that the server can give.
    pub(super) fn check_accept(&self) -> Result<(), Reply> {
        let accept = self.call.header("accept").unwrap_or("*/*");
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if kinds.into_iter().any(|kind| REPRESENTATIONS.contains(&kind)) {
            return Ok(());
        }
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        Err(status::status(406, "NotAcceptable", message, json!({})))
    }

    /// Refuses a dry run of another kind than `All`. `kind` is such as `CreateOptions`.
    pub(super) fn check_options(&self, kind: &str) -> Result<(), Reply> {
        let Some(other) = self.parameter("dryRun").filter(|run| run != "All") else {
            return Ok(());
        };
        let cause = Cause {
            reason: "FieldValueNotSupported",
            field: "dryRun".to_owned(),
            message: format!("Unsupported value: [{other:?}]: supported values: \"All\""),
        };
        Err(invalid(&format!("{kind}.meta.k8s.io"), "", &[cause]))
    }

    /// Whom fields belong to that are written without apply: the program's name, up to the slash.
    pub(super) fn manager(&self) -> String {
        self.parameter("fieldManager").unwrap_or_else(|| {
            let agent = self.call.header("user-agent").unwrap_or("unknown");
            agent.split('/').next().unwrap_or_default().to_owned()
        })
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned().into()
}
