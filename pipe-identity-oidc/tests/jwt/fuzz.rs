//! Any bytes: a mutator over a corpus of tokens and key sets, with a seed, so that a failure repeats.
//!
//! `PIPE_FUZZ_RUNS` sets the number of executions (200,000 unless set), `PIPE_FUZZ_SEED` the seed:
//! `PIPE_FUZZ_RUNS=10000000 cargo test --release -p pipe-identity-oidc --test jwt fuzz`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use pipe_identity_oidc::jwt::json::parse_object;
use pipe_identity_oidc::jwt::{
    Algorithm, Jwt, KeySet, Limits, TokenPolicy, TokenType, TrustedIssuer, VerifyingKey,
};
use serde_json::{Value, json};

use super::keys::{self, TestKey};

const NOW: u64 = 1_800_000_000;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": ["api", "other"], "sub": "alice", "exp": NOW + 300,
        "nbf": NOW, "iat": NOW, "jti": "t-1", "client_id": "svc", "scope": "a b", "scp": ["c"],
        "cnf": { "jkt": "x" }, "tid": "t", "roles": [{ "a": [1.5, -1, true, null, "\u{e4}\n"] }],
    })
}

fn public_keys() -> Value {
    let keys: Vec<_> =
        keys::ALL.iter().filter(|k| !k.algorithm.is_symmetric()).map(|key| &key.jwk).collect();
    json!({ "keys": keys })
}

/// What a mutation may put in.
const PIECES: [&str; 24] = [
    ".",
    "..",
    "=",
    "?",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\ud800",
    "\\u0000",
    "1e999",
    "-1",
    "null",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"exp\":1,",
    "\"crit\":[],",
    "\"alg\":\"none\",",
    "\"kid\":1,",
    "18446744073709551616",
    "{\"a\":",
];

fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=random.usize(0..4) {
        let at = random.usize(0..=bytes.len());
        match random.u8(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 if at < bytes.len() => {
                let end = random.usize(at..=bytes.len().min(at + 16));
                bytes.drain(at..end);
            }
            3 => {
                let piece = PIECES[random.usize(0..PIECES.len())].as_bytes();
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => bytes.truncate(at),
            5 => {
                // Again what stands somewhere else.
                let from = random.usize(0..=bytes.len());
                let end = random.usize(from..=bytes.len().min(from + 64));
                let again = bytes[from..end].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let piece = PIECES[random.usize(0..PIECES.len())].repeat(random.usize(1..100));
                bytes.splice(at..at, piece.bytes());
            }
            _ => bytes.insert(at, random.u8(..)),
        }
        bytes.truncate(40_000);
    }
}

/// Looks at everything that can be looked at.
fn inspect(jwt: &Jwt<'_>) {
    let _ = (jwt.kid(), jwt.typ(), jwt.algorithm(), jwt.unverified_issuer(), format!("{jwt:?}"));
    if let Some(key) = jwt.jws().embedded_key() {
        let _ = VerifyingKey::from_jwk(key);
    }
}

#[test]
fn fuzz_no_bytes_make_the_parsers_panic_and_no_change_of_a_token_is_accepted() {
    let runs = from_environment("PIPE_FUZZ_RUNS", 200_000);
    let seed = from_environment("PIPE_FUZZ_SEED", 0x5eed);
    let mut random = Rng::with_seed(seed);

    let secret = TestKey::of(Algorithm::Hs256);
    let keys = secret.set();
    let policy = TokenPolicy::builder(TrustedIssuer::exact("https://issuer.example"))
        .algorithms([Algorithm::Hs256])
        .token_type(TokenType::Lenient)
        .build()
        .unwrap();
    let public = TestKey::of(Algorithm::EdDsa);
    let public_set = KeySet::parse(public_keys().to_string().as_bytes()).unwrap();
    let public_policy =
        TokenPolicy::builder(TrustedIssuer::exact("https://issuer.example")).build().unwrap();

    let header = secret.header().to_string().into_bytes();
    let payload = claims().to_string().into_bytes();
    let token = secret.token(&header, &payload).into_bytes();
    let public_token = public.token(public.header().to_string(), &payload).into_bytes();
    let document = public_keys().to_string().into_bytes();
    assert!(
        policy
            .verify(&Jwt::parse(&token, policy.limits()).unwrap(), &keys, &["api"], now())
            .is_ok()
    );

    let mut accepted = 0_u64;
    for _ in 0..runs {
        match random.u8(0..16) {
            // The compact form: whatever is accepted is the token itself.
            0..5 => {
                let (token, policy, keys) = if random.u8(0..64) == 0 {
                    (&public_token, &public_policy, &public_set)
                } else {
                    (&token, &policy, &keys)
                };
                let mut bytes = token.clone();
                mutate(&mut random, &mut bytes);
                if let Ok(jwt) = Jwt::parse(&bytes, policy.limits()) {
                    inspect(&jwt);
                    if policy.verify(&jwt, keys, &["api"], now()).is_ok() {
                        assert_eq!(&bytes, token, "accepted with seed {seed}");
                    }
                }
            }
            // What is inside, with a good signature.
            5..11 => {
                let (mut header, mut payload) = (header.clone(), payload.clone());
                if random.u8(0..4) == 0 {
                    mutate(&mut random, &mut header);
                } else {
                    mutate(&mut random, &mut payload);
                }
                let token = secret.token(&header, &payload);
                if let Ok(jwt) = Jwt::parse(token.as_bytes(), &Limits::new()) {
                    inspect(&jwt);
                    if let Ok(claims) = policy.verify(&jwt, &keys, &["api"], now()) {
                        accepted += 1;
                        // Whatever is accepted, another parser reads as JSON of the same claims.
                        let other: Value = serde_json::from_slice(&payload).unwrap();
                        assert_eq!(other.as_object(), Some(claims.members()), "seed {seed}");
                        assert_eq!(claims.issuer(), "https://issuer.example");
                        assert!(!claims.subject().is_empty());
                        let _ = (claims.scopes().count(), claims.confirmation());
                    }
                }
            }
            11..14 => {
                let mut bytes = if random.bool() { payload.clone() } else { document.clone() };
                mutate(&mut random, &mut bytes);
                let read = parse_object(&bytes);
                if let Some(members) = read {
                    let other: Value = serde_json::from_slice(&bytes).unwrap();
                    assert_eq!(Value::Object(members), other, "seed {seed}");
                }
            }
            _ => {
                let mut bytes = document.clone();
                mutate(&mut random, &mut bytes);
                if let Ok(keys) = KeySet::parse(&bytes) {
                    assert!(keys.len() + keys.skipped().len() <= 100);
                    let _ = keys.select(None, Algorithm::Rs256);
                }
                let _ = KeySet::parse_local(&bytes);
            }
        }
    }
    // The mutator must reach the far side as well.
    assert!(accepted > runs / 1000, "{accepted} of {runs}");
}
