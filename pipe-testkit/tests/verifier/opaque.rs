//! Tokens that only the issuer can read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_core::TokenFault::Inactive;
use pipe_core::identity::TokenExpectation;
use pipe_core::{Result, SecurityContext};
use serde_json::{Map, Value};

use super::http::{ask, outage};
use super::{Verifier, refused};

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Verifier {
    pub(crate) async fn introspect(
        &self,
        text: &str,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let defect = self.defect;
        let trust = &self.trust;
        let (id, secret) = (&trust.resource_server_id, &trust.resource_server_secret);
        let basic = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let head = format!(
            "Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        );
        let url = format!("{}/token/introspection", trust.issuer);
        let form = format!("token={}", encoded(text));
        let asked = ask(&url, &head, &form, defect, "").await;
        let reply = asked.map_err(|error| match defect.0 {
            "h6_an_issuer_that_cannot_be_asked_is_an_outage" => refused(Inactive),
            _ => error,
        })?;
        if reply.status == 401
            && defect.is("h6_an_issuer_that_refuses_the_client_is_no_refusal_of_the_token")
        {
            return Err(refused(Inactive));
        }
        if reply.status != 200 {
            let error = outage("the issuer did not answer");
            return Err(match defect.0 {
                "h2_no_secret_of_the_plugin_appears_in_logs_or_errors" => {
                    error.with("secret", secret)
                }
                _ => error,
            });
        }
        let answer: Map<String, Value> =
            serde_json::from_slice(&reply.body).map_err(|_| outage("no JSON"))?;
        let is_active = match (defect.0, answer.get("active")) {
            (_, Some(Value::Bool(active))) => *active,
            ("h6_an_answer_that_does_not_say_active_lets_nobody_in", Some(active)) => {
                !active.is_null()
            }
            _ => false,
        };
        let is_lax = defect.is("h6_an_opaque_token_that_nobody_knows_is_refused");
        if !(is_active || is_lax && text == "-") {
            return Err(refused(Inactive));
        }
        if !is_active {
            return Ok(super::anybody(self.trust.clock.now()));
        }
        let context = self.judge_claims(text, &answer, expect, false)?;
        Ok(match defect.0 {
            "h6_an_opaque_token_is_asked_about_or_refused" => context.with_roles([]),
            _ => context,
        })
    }
}
