//! The fields of a body, decoded as leniently as OpenBao does and refused in its words.

use serde_json::{Map, Value};

use super::answers::{self, Reply};
use super::request::ApiRequest;
use super::time::parse_seconds;

/// An object, absent, or something that passes for an empty one.
pub(super) fn object(request: &ApiRequest, field: &str) -> Result<Option<Value>, Reply> {
    let (place, found) = match request.body.get(field) {
        None => return Ok(None),
        Some(value @ (Value::Object(_) | Value::Null)) => return Ok(Some(value.clone())),
        Some(Value::Array(items)) => match items.first() {
            None => return Ok(Some(Map::new().into())),
            Some(first) => ("[0]", first),
        },
        Some(other) => ("", other),
    };
    let found = match found {
        Value::String(_) => "string",
        Value::Number(_) => "json.Number",
        Value::Bool(_) => "bool",
        _ => "[]interface {}",
    };
    Err(unfit(
        field,
        &format!(
            "'{place}' expected type 'map[string]interface {{}}', got unconvertible type '{found}'"
        ),
    ))
}

/// A whole number, as a number or as text.
pub(super) fn integer(request: &ApiRequest, field: &str) -> Result<Option<u64>, Reply> {
    let text = match request.body.get(field) {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let reason = "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax";
    text.parse().map(Some).map_err(|_| unfit(field, reason))
}

/// `true` or `false`, as such or as text.
pub(super) fn boolean(request: &ApiRequest, field: &str) -> Result<Option<bool>, Reply> {
    let text = match request.body.get(field) {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let reason = "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax";
    text.parse().map(Some).map_err(|_| unfit(field, reason))
}

/// A duration in seconds.
pub(super) fn duration(request: &ApiRequest, field: &str) -> Result<Option<u64>, Reply> {
    let Some(value) = request.body.get(field) else {
        return Ok(None);
    };
    parse_seconds(value).map(Some).map_err(|reason| unfit(field, &reason))
}

/// The `versions` of a body; empty when there are none.
pub(super) fn versions(request: &ApiRequest) -> Result<Vec<u64>, Reply> {
    let given = match request.body.get("versions") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items.clone(),
        Some(single) => vec![single.clone()],
    };
    let number = |(index, value): (usize, &Value)| {
        let parsed = match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        parsed.ok_or_else(|| {
            let text = format!(
                "Field validation failed: error converting input for field \"versions\": decoding \
                 failed due to the following error(s):\n\n'[{index}]' cannot parse value as 'int': \
                 strconv.ParseInt: invalid syntax"
            );
            answers::error(400, &text)
        })
    };
    given.iter().enumerate().map(number).collect()
}

/// `options.cas`: a whole number, as a number or as text; `null` is 0.
pub(super) fn cas(options: &Value) -> Result<Option<i64>, Reply> {
    let text = match options.get("cas") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(0)),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let unfit = || answers::error(400, "error parsing check-and-set parameter");
    text.parse().map(Some).map_err(|_| unfit())
}

fn unfit(field: &str, reason: &str) -> Reply {
    let text = format!("error converting input for field {field:?}: {reason}");
    answers::error(400, &text)
}
