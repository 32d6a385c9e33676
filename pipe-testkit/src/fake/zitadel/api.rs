//! The services of version 2, as Connect speaks JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::oauth::json_answer;
use super::state::{Grant, ORGANIZATION, State, random};
use crate::fake::http::{Answer, Call};

/// Zitadel's own project: who calls its APIs needs it in the audience.
const ZITADEL: &str = "urn:zitadel:iam:org:project:id:zitadel:aud";
const MOST: usize = 100;

struct Caller {
    id: String,
    manager: bool,
}

pub(super) fn route(state: &mut State, now: u64, call: &Call) -> Answer {
    let Some(caller) = caller(state, now, call) else {
        let message = "Errors.Token.Invalid (AUTH-7fs1e)";
        return refuse(StatusCode::UNAUTHORIZED, "unauthenticated", message);
    };
    let body = call.body.as_deref().unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_argument",
            "unmarshal message: unexpected token",
        );
    };
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let path = call.path.rsplit_once('.').map_or("", |(_, path)| path);
    if path == "AuthorizationService/ListAuthorizations" {
        return list(state, &caller, &body);
    }
    if !caller.manager {
        let message = "No matching permissions found (AUTH-AWfge)";
        return refuse(StatusCode::FORBIDDEN, "permission_denied", message);
    }
    match path {
        "AuthorizationService/CreateAuthorization" => {
            let roles = body["roleKeys"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let roles: Vec<_> = roles.collect();
            if !state.users.contains_key(&text("userId")) {
                return user_missing();
            }
            let grant =
                Grant::new(&text("userId"), &text("projectId"), &text("organizationId"), &roles);
            let answer = json!({"id": grant.id, "creationDate": "2026-11-22T01:20:16Z"});
            state.grants.push(grant);
            json_answer(StatusCode::OK, &answer)
        }
        "UserService/CreateUser" => {
            let username = text("username");
            if state.users.values().any(|user| user.username == username) {
                // A newer error, with a slug.
                let detail = json!({
                    "type": "zitadel.error.v2.ErrorDetail",
                    "value": "e30",
                    "debug": {"slug": "user.already_exists", "message": "User already exists"},
                });
                let body = json!({"code": "already_exists", "message": "User already exists", "details": [detail]});
                return json_answer(StatusCode::CONFLICT, &body);
            }
            let machine = state.create_machine(&username);
            json_answer(
                StatusCode::OK,
                &json!({"id": machine.id, "creationDate": "2026-11-22T01:20:16Z"}),
            )
        }
        "UserService/AddKey" => match state.add_key(&text("userId")) {
            Some(file) => json_answer(
                StatusCode::OK,
                &json!({"keyId": random(), "keyContent": STANDARD.encode(file)}),
            ),
            None => user_missing(),
        },
        "UserService/GetUserByID" => match state.users.get(&text("userId")) {
            None => user_missing(),
            Some(user) => json_answer(
                StatusCode::OK,
                &json!({"user": {
                    "userId": text("userId"),
                    "username": user.username,
                    "state": "USER_STATE_ACTIVE",
                    "details": {"resourceOwner": user.organization},
                    "machine": {"name": user.username},
                }}),
            ),
        },
        "ProjectService/AddProjectRole" => {
            if !state.roles.insert((text("projectId"), text("roleKey"))) {
                let message = "Errors.Project.Role.AlreadyExists (PROJECT-Adfw1)";
                return refuse(StatusCode::CONFLICT, "already_exists", message);
            }
            json_answer(StatusCode::OK, &json!({"creationDate": "2026-11-22T01:20:16Z"}))
        }
        _ => {
            json_answer(StatusCode::NOT_FOUND, &json!({"code": "unimplemented", "message": "404"}))
        }
    }
}

fn caller(state: &State, now: u64, call: &Call) -> Option<Caller> {
    let token = call.header("authorization")?.strip_prefix("Bearer ")?;
    let known = state.opaque.get(token).filter(|known| now < known.expires)?;
    if state.revoked.contains(token) {
        return None;
    }
    let is_meant = known.personal || known.scopes.iter().any(|scope| scope == ZITADEL);
    let user = state.users.get(&known.user).filter(|_| is_meant)?;
    Some(Caller { id: known.user.clone(), manager: user.manager })
}

/// One's own, and what one may read; the rest is left out without a word. Also what is not active.
fn list(state: &State, caller: &Caller, body: &Value) -> Answer {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().map(|number| number as usize),
    };
    let offset = number(&body["pagination"]["offset"]).unwrap_or(0);
    let limit = number(&body["pagination"]["limit"]).unwrap_or(MOST).min(MOST);
    let filters = body["filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let matching: Vec<_> = state
        .grants
        .iter()
        .filter(|grant| caller.manager || grant.user == caller.id)
        .filter(|grant| filters.iter().all(|filter| matches(grant, filter)))
        .collect();
    let page = matching.iter().skip(offset).take(limit).map(|grant| {
        json!({
            "id": grant.id,
            "creationDate": "2026-11-22T01:20:16Z",
            "project": {"id": grant.project, "name": "p", "organizationId": ORGANIZATION},
            "organization": {"id": grant.organization, "name": "o"},
            "user": {"id": grant.user, "organizationId": ORGANIZATION},
            "state": if grant.active { "STATE_ACTIVE" } else { "STATE_INACTIVE" },
            "roles": grant.roles.iter().map(|role| json!({"key": role})).collect::<Vec<_>>(),
        })
    });
    let page: Vec<_> = page.collect();
    let mut answer = json!({"pagination": {
        "totalResult": matching.len().to_string(),
        "appliedLimit": limit.to_string(),
    }});
    // An empty list is left out.
    if !page.is_empty() {
        answer["authorizations"] = page.into();
    }
    json_answer(StatusCode::OK, &answer)
}

fn matches(grant: &Grant, filter: &Value) -> bool {
    let id = |name: &str| filter[name]["id"].as_str();
    if let Some(ids) = filter["inUserIds"]["ids"].as_array() {
        return ids.iter().any(|id| id == grant.user.as_str());
    }
    if let Some(project) = id("projectId") {
        return grant.project == project;
    }
    if let Some(organization) = id("organizationId") {
        return grant.organization == organization;
    }
    if let Some(state) = filter["state"]["state"].as_str() {
        return (state == "STATE_ACTIVE") == grant.active;
    }
    if let Some(role) = filter["roleKey"]["key"].as_str() {
        return grant.roles.iter().any(|one| one == role);
    }
    true
}

fn user_missing() -> Answer {
    refuse(StatusCode::NOT_FOUND, "not_found", "Errors.User.NotFound (QUERY-Dfbg2)")
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let detail =
        json!({"type": "zitadel.v1.ErrorDetail", "value": "e30", "debug": {"message": message}});
    json_answer(status, &json!({"code": code, "message": message, "details": [detail]}))
}
