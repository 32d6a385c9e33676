//! The device grant (RFC 8628).

use hyper::{Method, StatusCode};
use serde_json::json;

use super::answers::{Refusal, escaped, html, uncached};
use super::client::{DEVICE_CODE, REFRESH_TOKEN};
use super::grants::{field, first};
use super::logins::Source;
use super::parameters::{check_openid, grantable, resources, scopes};
use super::requests::{Fields, Form, form};
use super::state::{State, random};
use super::{Client, Person, TestIssuer};
use crate::fake::http::{Answer, Call};

/// How long a device may wait, in seconds.
const LIFETIME: u64 = 600;
const CHARACTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A device that waits for its person.
pub(super) struct Device {
    client: String,
    /// Without the hyphen.
    user_code: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    acr_values: Option<String>,
    tells_time: bool,
    expires: u64,
    decision: Option<Result<Source, Refusal>>,
    is_consumed: bool,
    slow_downs: usize,
}

/// The answer to a device that asks for codes.
pub(super) fn ask(
    state: &mut State,
    now: u64,
    client: &Client,
    call: &Call,
) -> Result<Answer, Refusal> {
    if !client.may(DEVICE_CODE) {
        let description = format!("{DEVICE_CODE} is not allowed for this client");
        return Err(Refusal::new("invalid_request", description));
    }
    let fields = Fields::of_body(call);
    let scopes = scopes(client, &fields, None)?;
    check_openid(&scopes, &fields)?;
    let resources = resources(state, &fields)?;
    let (device_code, user_code) = (random(), user_code());
    let device = Device {
        client: client.id.clone(),
        user_code: normalized(&user_code),
        scopes: grantable(&scopes, !resources.is_empty()),
        resources,
        acr_values: fields.get("acr_values").map(str::to_owned),
        tells_time: fields.get("max_age").is_some(),
        expires: now + LIFETIME,
        decision: None,
        is_consumed: false,
        slow_downs: 0,
    };
    let place = format!("{}/device", state.url);
    let mut answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": place,
        "verification_uri_complete": format!("{place}?user_code={user_code}"),
        "expires_in": LIFETIME,
    });
    if let Some(interval) = state.logins.device_interval {
        answer["interval"] = interval.into();
    }
    state.logins.devices.insert(device_code, device);
    Ok(uncached(StatusCode::OK, &answer))
}

/// The grant.
pub(super) fn by_device_code(
    state: &mut State,
    now: u64,
    client: &Client,
    form: &Form,
) -> Result<Answer, Refusal> {
    let code = field(form, "device_code").ok_or_else(|| Refusal::missing("device_code"))?;
    let device = state.logins.devices.get_mut(code).ok_or_else(Refusal::grant)?;
    if device.client != client.id {
        return Err(Refusal::grant());
    }
    if now >= device.expires {
        return Err(Refusal::bare("expired_token"));
    }
    if device.slow_downs > 0 {
        device.slow_downs -= 1;
        let description = "you are polling too quickly and should back off at a reasonable rate";
        return Err(Refusal::new("slow_down", description));
    }
    let Some(decision) = device.decision.clone() else {
        let description = "authorization request is still pending as the end-user hasn't yet \
                           completed the user interaction steps";
        return Err(Refusal::new("authorization_pending", description));
    };
    if std::mem::replace(&mut device.is_consumed, true) {
        if let Ok(source) = decision {
            state.revoke_grant(&source.grant);
        }
        return Err(Refusal::grant());
    }
    let source = decision?;
    if !state.logins.holds(&source.grant, &client.id) {
        return Err(Refusal::grant());
    }
    first(state, now, client, source, form)
}

/// The page where a person types the code, and what they decide there.
pub(super) fn page(state: &mut State, now: u64, call: &Call) -> Answer {
    let form = form(call);
    let (Method::POST, Some(code)) = (call.method.clone(), field(&form, "user_code")) else {
        let code = Fields::of(&call.query);
        let code = escaped(code.get("user_code").unwrap_or_default());
        let text = format!(
            "<h1>Device</h1><form method=\"post\" action=\"/device\">\
             <input name=\"user_code\" value=\"{code}\"><input name=\"login\">\
             <button name=\"confirm\" value=\"yes\">Allow</button>\
             <button name=\"abort\" value=\"yes\">Refuse</button></form>"
        );
        return html(StatusCode::OK, &text);
    };
    let person = field(&form, "login").and_then(|login| state.logins.people.get(login)).cloned();
    let is_decided = match person {
        _ if field(&form, "abort").is_some() => decide(state, now, code, None),
        Some(person) => decide(state, now, code, Some(&person)),
        None => false,
    };
    let text = if is_decided { "<h1>Done</h1>" } else { "<h1>The code or the name is wrong</h1>" };
    html(StatusCode::OK, text)
}

/// Whether there was something to decide. Nobody refuses.
fn decide(state: &mut State, now: u64, user_code: &str, person: Option<&Person>) -> bool {
    let user_code = normalized(user_code);
    let mut devices = state.logins.devices.iter();
    let waiting = devices.find(|(_, device)| {
        device.user_code == user_code && device.decision.is_none() && now < device.expires
    });
    let Some(key) = waiting.map(|(key, _)| key.clone()) else { return false };
    let decision = match person {
        Some(person) => match source(state, now, &key, person) {
            Some(source) => Ok(source),
            None => return false,
        },
        None => Err(Refusal::new("access_denied", "End-User aborted interaction")),
    };
    let device = state.logins.devices.get_mut(&key);
    device.map(|device| device.decision = Some(decision)).is_some()
}

fn source(state: &mut State, now: u64, device: &str, person: &Person) -> Option<Source> {
    let logins = &mut state.logins;
    let client = logins.devices.get(device)?.client.clone();
    let session = logins.session(person, now);
    let authorization = logins.authorization(&session, &client)?;
    let device = logins.devices.get(device)?;
    let client = logins.clients.get(&client)?;
    let grant = logins.grants.get_mut(&authorization.grant)?;
    grant.scopes.extend(device.scopes.iter().cloned());
    let is_offline = device.scopes.iter().any(|it| it == "offline_access");
    grant.outlives_session = is_offline && client.may(REFRESH_TOKEN);
    Some(Source {
        client: client.id.clone(),
        grant: authorization.grant,
        subject: person.subject.clone(),
        scopes: device.scopes.clone(),
        resources: device.resources.clone(),
        nonce: None,
        auth_time: device.tells_time.then(|| person.auth_time.unwrap_or(now)),
        acr: device.acr_values.as_ref().and(person.acr.clone()),
        sid: client.includes_sid().then_some(authorization.sid),
    })
}

fn user_code() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let letters = bytes.map(|byte| char::from(CHARACTERS[usize::from(byte) % CHARACTERS.len()]));
    let (left, right) = letters.split_at(4);
    [left, &['-'], right].concat().into_iter().collect()
}

fn normalized(user_code: &str) -> String {
    let letters = user_code.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|it| it.to_ascii_uppercase()).collect()
}

impl TestIssuer {
    /// This person allows the device with this code to act for them. `false` when no device waits under
    /// it.
    pub fn approve(&self, user_code: &str, person: &Person) -> bool {
        self.add_person(person);
        decide(&mut self.provider.lock(), self.clock().seconds(), user_code, Some(person))
    }

    /// Somebody refuses the device with this code. `false` when no device waits under it.
    pub fn deny(&self, user_code: &str) -> bool {
        decide(&mut self.provider.lock(), self.clock().seconds(), user_code, None)
    }

    /// The device with this code is told this many times to ask less often, whatever was decided.
    /// oidc-provider never does that; others do. `false` when there is no such device.
    pub fn slow_down(&self, user_code: &str, times: usize) -> bool {
        let user_code = normalized(user_code);
        let mut state = self.provider.lock();
        let mut devices = state.logins.devices.values_mut();
        let device = devices.find(|device| device.user_code == user_code);
        device.map(|device| device.slow_downs = times).is_some()
    }

    /// Devices are told this `interval` from now on, in seconds. At first they are told none, which
    /// means five.
    pub fn set_device_interval(&self, seconds: Option<u64>) {
        self.provider.lock().logins.device_interval = seconds;
    }
}
