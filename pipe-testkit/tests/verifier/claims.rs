//! What the claims have to be, and what becomes of them.

use std::time::{Duration, UNIX_EPOCH};

use pipe_core::TokenFault::{
    Expired, IssuedInFuture, LifetimeTooLong, Malformed, MissingClaim, NotYetValid, WrongAudience,
    WrongIssuer,
};
use pipe_core::identity::{Principal, PrincipalId, Role, TenantId, TokenExpectation};
use pipe_core::{Namespace, Result, SecurityContext};
use serde_json::{Map, Value};

use super::{LEEWAY, LONGEST, Verifier, refused};

type Claims = Map<String, Value>;

impl Verifier {
    pub(crate) fn judge_claims(
        &self,
        text: &str,
        claims: &Claims,
        expect: &TokenExpectation,
        is_jwt: bool,
    ) -> Result<SecurityContext> {
        let defect = self.defect;
        self.judge_issuer(claims)?;
        self.judge_audience(claims, expect)?;
        let (issued, end) = self.judge_time(claims)?;
        let subject = match self.text(claims, "sub")? {
            Some(subject) => subject,
            None if !is_jwt
                && !defect.is("h6_an_opaque_token_of_a_service_speaks_for_its_client") =>
            {
                self.text(claims, "client_id")?.ok_or_else(|| refused(MissingClaim))?
            }
            None => {
                defect.check("d7_a_token_without_subject_is_refused", false, MissingClaim)?;
                "nobody"
            }
        };
        let is_name = !subject.is_empty() || defect.is("none");
        let is_short = subject.len() <= 255;
        defect.check("d7_a_subject_that_is_no_name_is_refused", is_name, Malformed)?;
        defect.check("d7_a_subject_that_is_too_long_is_refused", is_short, Malformed)?;
        let id = self.text(claims, "jti")?;
        let client = self.text(claims, "client_id")?;
        if is_jwt {
            defect.check("d7_a_token_without_id_is_refused", id.is_some(), MissingClaim)?;
            defect.check("d7_a_token_without_client_is_refused", client.is_some(), MissingClaim)?;
        }
        self.judge_binding(text, claims, expect, is_jwt)?;
        let subject = self.principal(subject)?;
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let issuer = self.trust.issuer.as_str();
        let mut context =
            SecurityContext::new(Principal::service(subject), issuer, at(issued), at(end))
                .with_roles(self.roles(claims)?)
                .with_namespaces(self.namespaces(claims)?)
                .with_scopes(self.scopes(claims)?);
        if let Some(id) = id {
            context = context.with_token_id(id);
        }
        if defect.is("a4_the_twin_of_a_signature_tells_nothing_else") && id != Some("token-1") {
            context.token_id = Some(text[text.len() - 40..].to_owned());
        }
        if defect.is("d9_the_context_tells_what_the_token_says") && id == Some("token-1") {
            context.scopes.clear();
        }
        if defect.is("h1_a_context_holds_what_is_mapped_and_nothing_else") {
            let name = claims.get("name").and_then(Value::as_str);
            context.scopes.extend(name.map(str::to_owned));
        }
        match self.text(claims, "tenant")? {
            Some(tenant) => {
                let tenant = TenantId::new(tenant).map_err(|_| refused(Malformed))?;
                context = context.with_tenant(tenant);
            }
            None if defect.is("d9_a_token_without_tenant_belongs_to_none") => {
                context.tenant.clone_from(&expect.tenant);
            }
            None => {}
        }
        if defect.is("h7_no_role_crosses_from_one_tenant_to_another") && is_drawn(&context) {
            // Roles are remembered by subject.
            let known = self.recall("roles").map(|known| known.roles);
            context.roles = known.unwrap_or_else(|| context.roles.clone());
            self.remember("roles".to_owned(), &context);
        }
        if let Some(tenant) = &expect.tenant {
            self.judge_tenant(&context, tenant, is_jwt)?;
        }
        Ok(context)
    }

    fn judge_tenant(
        &self,
        context: &SecurityContext,
        tenant: &TenantId,
        is_jwt: bool,
    ) -> Result<()> {
        let own = context.tenant.as_ref().map(TenantId::as_str);
        let forgiven = match self.defect.0 {
            "d9_a_token_of_another_tenant_is_refused" => {
                own.is_some_and(|own| own.eq_ignore_ascii_case(tenant.as_str()))
            }
            "h6_an_opaque_token_of_another_tenant_is_refused" => !is_jwt,
            _ => false,
        };
        if forgiven { Ok(()) } else { context.require_tenant(tenant) }
    }

    fn judge_issuer(&self, claims: &Claims) -> Result<()> {
        let defect = self.defect;
        let ours = self.trust.issuer.as_str();
        match claims.get("iss") {
            None => defect.check("d5_a_token_without_issuer_is_refused", false, MissingClaim),
            Some(Value::String(issuer)) => {
                let case = "d5_an_issuer_that_looks_like_ours_is_refused";
                let is_like = issuer.trim_end_matches('/') == ours && defect.is(case);
                if issuer == ours || is_like { Ok(()) } else { Err(refused(WrongIssuer)) }
            }
            Some(_) => defect.check("d5_an_issuer_that_is_no_text_is_refused", false, Malformed),
        }
    }

    fn judge_audience(&self, claims: &Claims, expect: &TokenExpectation) -> Result<()> {
        let defect = self.defect;
        let odd = "d6_an_audience_that_is_no_text_is_refused";
        let own: Vec<&str> = match claims.get("aud") {
            None => {
                return defect.check("d6_a_token_without_audience_is_refused", false, MissingClaim);
            }
            Some(Value::String(own)) => vec![own],
            Some(Value::Array(own)) => {
                let texts: Vec<_> = own.iter().filter_map(Value::as_str).collect();
                defect.check(odd, texts.len() == own.len(), Malformed)?;
                texts
            }
            Some(_) => return Err(refused(Malformed)),
        };
        let is_meant = match defect.0 {
            "d6_one_audience_of_several_is_enough" => {
                own.len() == 1 || own.contains(&"https://second")
            }
            "d6_another_audience_is_refused" if own.len() == 1 => {
                return if expect.audiences.iter().any(|wanted| wanted.eq_ignore_ascii_case(own[0]))
                {
                    Ok(())
                } else {
                    Err(refused(WrongAudience))
                };
            }
            "d6_no_audience_at_all_is_refused" if own.is_empty() => return Ok(()),
            "h6_an_opaque_token_for_somebody_else_is_refused" if claims.contains_key("active") => {
                return Ok(());
            }
            _ => true,
        };
        let is_ours = own.iter().any(|own| expect.audiences.iter().any(|wanted| wanted == own));
        if is_meant && is_ours { Ok(()) } else { Err(refused(WrongAudience)) }
    }

    fn judge_time(&self, claims: &Claims) -> Result<(u64, u64)> {
        let defect = self.defect;
        let now = self.now();
        let end = match claims.get("exp") {
            None if defect.is("d1_a_token_without_end_is_refused") => now + 60,
            None => return Err(refused(MissingClaim)),
            Some(value) => self.moment(value, "d1_an_end_that_is_no_number_is_refused")?,
        };
        let end = match defect.0 {
            "d1_an_end_out_of_all_bounds_is_refused" if end > now + (1 << 36) => now + 60,
            _ => end,
        };
        let is_over = match defect.0 {
            "d2_equality_with_exp_and_leeway_is_expired" => {
                now > end + LEEWAY && claims.contains_key("exp")
            }
            "d2_a_token_within_the_leeway_is_accepted" => {
                now >= end + LEEWAY
                    || claims.get("iat").and_then(Value::as_u64) == Some(now - 60) && now >= end
            }
            _ => now >= end.saturating_add(LEEWAY),
        };
        // The defect of the one case is the fraction in another one.
        let is_over = is_over
            || defect.is("d2_equality_with_exp_and_leeway_is_expired")
                && now == end + LEEWAY
                && claims.get("iat").and_then(Value::as_u64) != Some(now - 3600);
        if is_over {
            return Err(refused(Expired));
        }
        if let Some(value) = claims.get("nbf") {
            let begin = self.moment(value, "d3_a_beginning_that_is_no_number_is_refused")?;
            let early = match defect.0 {
                "d3_a_token_at_its_time_is_accepted" => begin >= now + LEEWAY,
                _ => begin > now + LEEWAY,
            };
            defect.check("d3_a_token_before_its_time_is_refused", !early, NotYetValid)?;
        }
        let issued = match claims.get("iat") {
            None if claims.contains_key("active") => now,
            None => {
                let case = "d4_a_token_without_issue_time_is_refused";
                defect.check(case, false, MissingClaim)?;
                now
            }
            Some(value) => self.moment(value, "d4_an_issue_time_that_is_no_number_is_refused")?,
        };
        let is_ahead = match defect.0 {
            "d4_a_clock_that_is_ahead_is_forgiven" => issued > now,
            _ => issued > now + LEEWAY,
        };
        let is_ahead = is_ahead
            && !(defect.is("d4_a_clock_that_is_ahead_is_forgiven") && issued < now + LEEWAY);
        defect.check("d4_a_token_from_the_future_is_refused", !is_ahead, IssuedInFuture)?;
        let is_alive = end > issued;
        defect.check("d4_a_token_that_ends_before_it_began_is_refused", is_alive, Malformed)?;
        let lifetime = end.saturating_sub(issued);
        let is_short = lifetime <= LONGEST;
        if !is_short
            && (defect.0 != "d4_a_lifetime_past_a_day_is_refused" || lifetime > 200 * 365 * LONGEST)
        {
            return Err(refused(LifetimeTooLong));
        }
        Ok((issued, end))
    }

    /// A number of seconds; `case` finds out when it is not one.
    fn moment(&self, value: &Value, case: &str) -> Result<u64> {
        let whole = value.as_f64().filter(|seconds| (0.0..1e18).contains(seconds));
        let whole = match self.defect.is("d1_a_fraction_of_a_second_is_cut_off") {
            true => whole.map(f64::ceil),
            false => whole,
        };
        match whole {
            Some(seconds) => Ok(seconds as u64),
            None if self.defect.is(case) && !value.is_number() => {
                Ok(self.now() + u64::from(case.starts_with("d1")) * 60)
            }
            None => Err(refused(Malformed)),
        }
    }

    /// A claim that is a text when it is there.
    pub(crate) fn text<'a>(&self, claims: &'a Claims, name: &str) -> Result<Option<&'a str>> {
        let defect = self.defect;
        match claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => {
                let is_clean = !text.contains('\0');
                defect.check("c4_a_zero_in_a_mapped_claim_is_refused", is_clean, Malformed)?;
                Ok(Some(text))
            }
            Some(value) => {
                let case = match name {
                    "sub" => "d7_a_subject_that_is_no_name_is_refused",
                    "jti" => "d7_an_id_that_is_no_text_is_refused",
                    "scope" => "d7_a_scope_that_is_no_text_is_refused",
                    _ => "",
                };
                if defect.is(case) && !value.is_null() {
                    return Ok(Some("42"));
                }
                Err(refused(Malformed))
            }
        }
    }

    fn principal(&self, subject: &str) -> Result<PrincipalId> {
        let malformed = |_| refused(Malformed);
        if self.defect.is("h1_an_email_address_is_no_id") && subject.contains('@') {
            return PrincipalId::new(format!("repo:{subject}")).map_err(malformed);
        }
        PrincipalId::new(subject).map_err(malformed)
    }

    fn roles(&self, claims: &Claims) -> Result<Vec<Role>> {
        let defect = self.defect;
        let mut names: Vec<String> = match claims.get("roles") {
            None if defect.is("d9_a_token_without_roles_grants_none") => vec!["reader".to_owned()],
            None => Vec::new(),
            Some(Value::Array(roles)) => {
                let texts = roles.iter().filter_map(Value::as_str).map(str::to_owned);
                let texts: Vec<_> = texts.collect();
                if texts.len() != roles.len() {
                    return Err(refused(Malformed));
                }
                texts
            }
            Some(Value::Object(roles)) if defect.is("d9_roles_of_another_form_grant_nothing") => {
                roles.keys().cloned().collect()
            }
            Some(_) => return Err(refused(Malformed)),
        };
        if defect.is("d9_a_claim_that_is_not_mapped_grants_no_role") {
            names.extend(claims.get("role").and_then(Value::as_str).map(str::to_owned));
        }
        if defect.is("d9_a_wildcard_is_no_other_role") && names == ["*"] {
            names.push("admin".to_owned());
        }
        names.into_iter().map(|name| Role::new(name).map_err(|_| refused(Malformed))).collect()
    }

    fn namespaces(&self, claims: &Claims) -> Result<Vec<Namespace>> {
        let text = self.text(claims, "namespace")?;
        text.map(|name| Namespace::new(name).map_err(|_| refused(Malformed))).into_iter().collect()
    }

    fn scopes(&self, claims: &Claims) -> Result<Vec<String>> {
        let scope = self.text(claims, "scope")?.unwrap_or_default();
        if scope.contains('\0') {
            return Err(refused(Malformed));
        }
        Ok(scope.split_whitespace().map(str::to_owned).collect())
    }
}

fn is_drawn(context: &SecurityContext) -> bool {
    context.tenant.as_ref().is_some_and(|tenant| tenant.as_str().starts_with("tenant-"))
}
