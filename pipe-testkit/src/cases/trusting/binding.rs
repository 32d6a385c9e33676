use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::TokenFault::{
    AlgorithmRefused, BadSignature, Expired, IssuedInFuture, Malformed, MissingClaim, NotBound,
    Replayed, Unsupported, WrongType,
};
use pipe_core::identity::{DpopProof, TokenExpectation};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Stage;
use crate::issuer::{SigningAlgorithm, SigningKey, TokenBuilder};
use crate::stage::expectation;

const METHOD: &str = "POST";
const ADDRESS: &str = "https://api.pipe.local/v1/secrets";
/// Nothing but its hash matters.
const CERTIFICATE: &[u8] = b"the certificate of the caller, in DER";

fn digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

/// A key of the caller, a token bound to it, and a good proof for the token.
struct Bound {
    key: SigningKey,
    token: String,
    proof: TokenBuilder,
}

impl Bound {
    fn new(stage: &Stage) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Es256, "caller");
        let token = stage.token().claim("cnf", json!({"jkt": key.thumbprint()})).sign();
        let proof = proof(stage, &key, &token);
        Self { key, token, proof }
    }
}

fn proof(stage: &Stage, key: &SigningKey, token: &str) -> TokenBuilder {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system has random numbers");
    let claims = Map::from_iter([
        ("jti".to_owned(), URL_SAFE_NO_PAD.encode(id).into()),
        ("htm".to_owned(), METHOD.into()),
        ("htu".to_owned(), ADDRESS.into()),
        ("iat".to_owned(), stage.issuer.clock().seconds().into()),
        ("ath".to_owned(), digest(token.as_bytes()).into()),
    ]);
    TokenBuilder::new(key, "dpop+jwt", claims).without_header("kid").header("jwk", key.bare_jwk())
}

fn with(proof: &TokenBuilder) -> TokenExpectation {
    expectation().with_dpop(DpopProof::new(proof.sign(), METHOD, ADDRESS))
}

/// A bound token with its proof is accepted, so that what follows is not refused because all are; a
/// plugin that does not offer it refuses it, and the case ends.
async fn offers_dpop(stage: &Stage) -> bool {
    stage.good().await;
    let bound = Bound::new(stage);
    if stage.features.dpop {
        stage.accepted_as(&bound.token, &with(&bound.proof)).await;
    } else {
        super::expect_nobody(
            stage.validate_as(&bound.token, &with(&bound.proof)).await,
            "a binding that is not offered",
        );
    }
    stage.features.dpop
}

async fn offers_certificates(stage: &Stage) -> bool {
    stage.good().await;
    let expect = expectation().with_peer_certificate(CERTIFICATE.to_vec());
    let token = certified(stage, CERTIFICATE);
    if stage.features.certificates {
        stage.accepted_as(&token, &expect).await;
    } else {
        super::expect_nobody(
            stage.validate_as(&token, &expect).await,
            "a binding that is not offered",
        );
    }
    stage.features.certificates
}

fn certified(stage: &Stage, certificate: &[u8]) -> String {
    stage.token().claim("cnf", json!({"x5t#S256": digest(certificate)})).sign()
}

/// D12: never downgraded to a bearer token.
pub async fn d12_a_token_bound_to_a_key_needs_its_proof(stage: Stage) {
    offers_dpop(&stage).await;
    stage.refused(&Bound::new(&stage).token, NotBound).await;
}

/// D12
pub async fn d12_a_proof_by_another_key_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        let other = SigningKey::generate(SigningAlgorithm::Es256, "other");
        let proof = proof(&stage, &other, &bound.token);
        stage.refused_as(&bound.token, &with(&proof), &[NotBound]).await;
    }
}

/// D12: the key in its header says who signed it, and not that they did.
pub async fn d12_a_proof_that_another_key_signed_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        let other = SigningKey::generate(SigningAlgorithm::Es256, "other");
        let forged = bound.proof.signed_by(&other);
        stage.refused_as(&bound.token, &with(&forged), &[NotBound, BadSignature]).await;
    }
}

/// D12 (RFC 9449 4.3)
pub async fn d12_a_proof_for_another_method_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        for method in ["GET", "post", ""] {
            let bound = Bound::new(&stage);
            let proof = bound.proof.claim("htm", method);
            stage.refused_as(&bound.token, &with(&proof), &[NotBound]).await;
        }
    }
}

/// D12
pub async fn d12_a_proof_for_another_address_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        for address in ["https://api.pipe.local/v1/other", "https://evil.example/v1/secrets", ""] {
            let bound = Bound::new(&stage);
            let proof = bound.proof.claim("htu", address);
            stage.refused_as(&bound.token, &with(&proof), &[NotBound]).await;
        }
    }
}

/// D12
pub async fn d12_a_proof_for_another_token_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        let proof = bound.proof.claim("ath", digest(b"another token"));
        stage.refused_as(&bound.token, &with(&proof), &[NotBound]).await;
    }
}

/// D12
pub async fn d12_a_proof_that_names_no_token_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        let proof = bound.proof.without("ath");
        let faults = [NotBound, MissingClaim, Malformed];
        stage.refused_as(&bound.token, &with(&proof), &faults).await;
    }
}

/// D12
pub async fn d12_a_proof_used_twice_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        stage.accepted_as(&bound.token, &with(&bound.proof)).await;
        stage.refused_as(&bound.token, &with(&bound.proof), &[Replayed]).await;
        // The token itself may be used as often as there are proofs.
        let next = proof(&stage, &bound.key, &bound.token);
        stage.accepted_as(&bound.token, &with(&next)).await;
    }
}

/// D12: proofs are made for the moment.
pub async fn d12_a_proof_of_another_time_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let now = stage.issuer.clock().seconds();
        for iat in [now - 1800, now + 1800] {
            let bound = Bound::new(&stage);
            let proof = bound.proof.claim("iat", iat);
            let faults = [NotBound, Expired, IssuedInFuture];
            stage.refused_as(&bound.token, &with(&proof), &faults).await;
        }
    }
}

/// D12
pub async fn d12_a_proof_of_another_form_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = || Bound::new(&stage);
        let faults = [
            NotBound,
            Malformed,
            MissingClaim,
            AlgorithmRefused,
            BadSignature,
            WrongType,
            Unsupported,
        ];
        let changes: [fn(TokenBuilder) -> TokenBuilder; 7] = [
            |proof| proof.header("typ", "JWT"),
            |proof| proof.header("alg", "none").signature([]),
            |proof| proof.hmac(b"secret"),
            |proof| proof.without_header("jwk"),
            |proof| proof.without("jti"),
            |proof| proof.without("iat"),
            |proof| proof.header("crit", json!(["x"])).header("x", 1),
        ];
        for change in changes {
            let Bound { token, proof, .. } = bound();
            stage.refused_as(&token, &with(&change(proof)), &faults).await;
        }
        let Bound { token, .. } = bound();
        for garbage in ["", "x", "a.b.c"] {
            let expect = expectation().with_dpop(DpopProof::new(garbage, METHOD, ADDRESS));
            stage.refused_as(&token, &expect, &faults).await;
        }
    }
}

/// D12 (RFC 9449 4.2): a private key was sent where a public one belongs.
pub async fn d12_a_proof_with_a_private_key_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        let mut jwk = bound.key.bare_jwk();
        jwk["d"] = URL_SAFE_NO_PAD.encode([1; 32]).into();
        let proof = bound.proof.header("jwk", jwk);
        let faults = [NotBound, Malformed, Unsupported];
        stage.refused_as(&bound.token, &with(&proof), &faults).await;
    }
}

/// D12 (RFC 9449 7.1): a proof binds nothing that is not bound.
pub async fn d12_an_unbound_token_with_a_proof_is_refused(stage: Stage) {
    if offers_dpop(&stage).await {
        let token = stage.token().sign();
        let key = SigningKey::generate(SigningAlgorithm::Es256, "caller");
        let proof = proof(&stage, &key, &token);
        stage.refused_as(&token, &with(&proof), &[NotBound]).await;
    }
}

/// D12 (RFC 8705 3)
pub async fn d12_a_token_bound_to_a_certificate_needs_it(stage: Stage) {
    offers_certificates(&stage).await;
    stage.refused(&certified(&stage, CERTIFICATE), NotBound).await;
}

/// D12
pub async fn d12_another_certificate_is_refused(stage: Stage) {
    if offers_certificates(&stage).await {
        let token = certified(&stage, CERTIFICATE);
        for other in [&b"the certificate of somebody else"[..], b"", &CERTIFICATE[1..]] {
            let expect = expectation().with_peer_certificate(other.to_vec());
            stage.refused_as(&token, &expect, &[NotBound]).await;
        }
    }
}

/// D12: connections are authenticated for other reasons too.
pub async fn d12_a_certificate_asks_nothing_of_an_unbound_token(stage: Stage) {
    let expect = expectation().with_peer_certificate(CERTIFICATE.to_vec());
    stage.accepted_as(&stage.token().sign(), &expect).await;
}

/// D12: neither is the other's proof.
pub async fn d12_a_key_is_no_certificate(stage: Stage) {
    stage.good().await;
    let key = SigningKey::generate(SigningAlgorithm::Es256, "caller");
    let by_certificate = expectation().with_peer_certificate(CERTIFICATE.to_vec());
    let to_key = stage.token().claim("cnf", json!({"jkt": digest(CERTIFICATE)})).sign();
    stage.refused_as(&to_key, &by_certificate, &[NotBound]).await;
    let to_certificate = stage.token().claim("cnf", json!({"x5t#S256": key.thumbprint()})).sign();
    let by_key = with(&proof(&stage, &key, &to_certificate));
    stage.refused_as(&to_certificate, &by_key, &[NotBound]).await;
}

/// D12: who is bound twice proves it twice.
pub async fn d12_two_bindings_need_both_proofs(stage: Stage) {
    if offers_dpop(&stage).await && offers_certificates(&stage).await {
        let key = SigningKey::generate(SigningAlgorithm::Es256, "caller");
        let cnf = json!({"jkt": key.thumbprint(), "x5t#S256": digest(CERTIFICATE)});
        let token = stage.token().claim("cnf", cnf).sign();
        let by_key = || with(&proof(&stage, &key, &token));
        stage.refused_as(&token, &by_key(), &[NotBound]).await;
        let by_certificate = expectation().with_peer_certificate(CERTIFICATE.to_vec());
        stage.refused_as(&token, &by_certificate, &[NotBound]).await;
        let by_both = by_key().with_peer_certificate(CERTIFICATE.to_vec());
        stage.accepted_as(&token, &by_both).await;
    }
}

/// D12: a binding that is not understood is still one.
pub async fn d12_a_binding_of_another_kind_is_refused(stage: Stage) {
    stage.good().await;
    for cnf in [json!({"kid": "x"}), json!({"jwk": {}}), json!({})] {
        let token = stage.token().claim("cnf", cnf).sign();
        stage.refused_for(&token, &[NotBound, Unsupported, Malformed]).await;
    }
}

/// D12
pub async fn d12_a_binding_of_another_form_is_refused(stage: Stage) {
    stage.good().await;
    for cnf in
        [Value::Null, json!("x"), json!(1), json!([]), json!({"jkt": 1}), json!({"x5t#S256": null})]
    {
        let token = stage.token().claim("cnf", cnf).sign();
        stage.refused_for(&token, &[Malformed, NotBound]).await;
    }
}

/// H5: that a bound token was accepted once does not make it a bearer token.
pub async fn h5_a_bound_token_is_held_to_its_proof_every_time(stage: Stage) {
    if offers_dpop(&stage).await {
        let bound = Bound::new(&stage);
        stage.accepted_as(&bound.token, &with(&bound.proof)).await;
        stage.refused(&bound.token, NotBound).await;
    }
    if offers_certificates(&stage).await {
        let token = certified(&stage, CERTIFICATE);
        let expect = expectation().with_peer_certificate(CERTIFICATE.to_vec());
        stage.accepted_as(&token, &expect).await;
        stage.refused(&token, NotBound).await;
    }
}
