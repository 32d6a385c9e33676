//! What tokens cost: to check, to know again, and to issue, beside `jsonwebtoken`.

mod fixture;

use std::sync::Arc;

use jsonwebtoken::{decode, encode};
use pipe_core::identity::Role;
use pipe_core::identity::{BearerToken, JwtRequest, PrincipalId, TokenExpectation};
use pipe_core::{IdentityPlugin, Namespace};
use pipe_identity_oidc::Oidc;
use pipe_identity_oidc::jwt::Algorithm;

use self::fixture::{AUDIENCE, Claims, Fixture, Memory, NAMESPACE, ROLES, SUBJECT};
use crate::sample::{Plan, side_by_side};
use crate::threads::{by_one, shuffled};
use crate::{Amount, Fault, Limit, Measured, Report};

/// So many that they do not all stay next to the processor.
const TOKENS: usize = 2_000;

pub(crate) async fn measure(report: &mut Report) {
    let name = "RS256 tokens checked / jsonwebtoken::decode";
    let measure = async || verification(Algorithm::Rs256).await;
    report.measure(name, Limit::AtLeast(1.0), measure).await;

    let name = "ES256 tokens checked / jsonwebtoken::decode";
    let measure = async || verification(Algorithm::Es256).await;
    report.measure(name, Limit::AtLeast(1.0), measure).await;

    let name = "RS256 tokens known again / checked";
    report.measure(name, Limit::AtLeast(25.0), known_again).await;

    let name = "RS256 tokens issued / jsonwebtoken::encode";
    report.measure(name, Limit::AtLeast(2.0), issue).await;

    let name = "RS256 tokens checked by two threads / by one";
    let measure = async || two_threads(Memory::Nothing).await;
    report.measure(name, Limit::AtLeast(1.8), measure).await;

    let name = "RS256 tokens known again by two threads / by one";
    let measure = async || two_threads(Memory::Everything).await;
    report.measure(name, Limit::AtLeast(1.8), measure).await;
}

/// Both check signature, issuer, audience, the times and that the claims are there; ours makes a
/// security context of it, `jsonwebtoken` the claims.
async fn verification(algorithm: Algorithm) -> Result<Measured, Fault> {
    let fixture = Fixture::new(algorithm)?;
    let token = fixture.token(0)?;
    let plugin = fixture.plugin(Memory::Nothing)?;
    let (presented, expect) = (BearerToken::new(token.clone()), expectation());
    let ours = async || validate(&plugin, &presented, &expect).await;
    let (key, validation) = (fixture.decoding_key(), fixture.validation());
    let baseline = async || {
        let decoded = decode::<Claims>(&token, key, &validation)?;
        std::hint::black_box(decoded);
        Ok(())
    };
    Ok(side_by_side(Plan::EACH_CALL, ours, baseline).await?.as_rates())
}

/// So many are known again at a time, which is to take no longer than to check one: then what else
/// the machine does hits both alike.
const AT_A_TIME: u32 = 25;

async fn known_again() -> Result<Measured, Fault> {
    let fixture = Fixture::new(Algorithm::Rs256)?;
    let (token, expect) = (BearerToken::new(fixture.token(0)?), expectation());
    let knowing = fixture.plugin(Memory::Everything)?;
    let checking = fixture.plugin(Memory::Nothing)?;
    let ours = async || {
        for _ in 0..AT_A_TIME {
            validate(&knowing, &token, &expect).await?;
        }
        Ok(())
    };
    let baseline = async || validate(&checking, &token, &expect).await;
    let Measured { ours, baseline, .. } = side_by_side(Plan::EACH_CALL, ours, baseline).await?;
    let Amount::Time(ours) = ours else {
        return Err(Fault::new("the sampler measures times"));
    };
    Ok(Measured::new(Amount::Time(ours / AT_A_TIME), baseline).as_rates())
}

/// The same claims. Ours makes the token's name and its times anew for each token.
async fn issue() -> Result<Measured, Fault> {
    let fixture = Fixture::new(Algorithm::Rs256)?;
    let plugin = fixture.issuing()?;
    let mut request = JwtRequest::new(PrincipalId::new(SUBJECT)?)
        .with_audience(AUDIENCE)
        .with_namespace(Namespace::new(NAMESPACE)?);
    for role in ROLES {
        request = request.with_role(Role::new(role)?);
    }
    let ours = async || {
        std::hint::black_box(plugin.generate_jwt(&request).await?);
        Ok(())
    };
    let (header, claims, key) = (fixture.header(), fixture.claims(0)?, fixture.encoding_key());
    let baseline = async || {
        std::hint::black_box(encode(&header, &claims, key)?);
        Ok(())
    };
    Ok(side_by_side(Plan::EACH_CALL, ours, baseline).await?.as_rates())
}

/// Each thread presents all tokens, in an order of its own.
async fn two_threads(memory: Memory) -> Result<Measured, Fault> {
    let fixture = Fixture::new(Algorithm::Rs256)?;
    let tokens = Arc::new(fixture.tokens(TOKENS)?);
    let plugin = fixture.plugin(memory)?;
    validate_all(&plugin, &tokens, &expectation()).await?;
    by_one(move || {
        let (plugin, tokens, expect) = (plugin.clone(), Arc::clone(&tokens), expectation());
        let mut order = shuffled(TOKENS);
        async move || validate(&plugin, &tokens[order.next()], &expect).await
    })
    .await
}

async fn validate_all(
    plugin: &Oidc,
    tokens: &[BearerToken],
    expect: &TokenExpectation,
) -> Result<(), Fault> {
    for token in tokens {
        validate(plugin, token, expect).await?;
    }
    Ok(())
}

async fn validate(
    plugin: &Oidc,
    token: &BearerToken,
    expect: &TokenExpectation,
) -> Result<(), Fault> {
    let context = plugin.validate_token(token, expect).await?;
    if context.roles.len() == ROLES.len() && context.namespaces.len() == 1 {
        return Ok(());
    }
    Err(Fault::new("the context does not say what the token does"))
}

fn expectation() -> TokenExpectation {
    TokenExpectation::audience(AUDIENCE)
}
