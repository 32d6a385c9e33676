//! Tokens and the ways to get one.

use std::time::Duration;

use pipe_testkit::fake::{TokenReview, expired_service_account_jwt, service_account_jwt};

use crate::peers::{HOUR, Peers};

#[tokio::test]
async fn tokens_are_renewed_and_revoked() {
    let mut peers = Peers::start().await;
    peers.token("hour", &["x"], HOUR, true).await;
    peers.token("fixed", &["x"], HOUR, false).await;
    peers.token("long", &["x"], HOUR * 9000, true).await;
    peers.talk(r#"
hour GET auth/token/lookup-self
200 {"data":{"creation_ttl":3600,"display_name":"token","expire_time":"*","explicit_max_ttl":0,"meta":null,"num_uses":0,"path":"auth/token/create","policies":["default","x"],"renewable":true,"type":"service"}}
hour POST auth/token/renew-self {}
200 {"data":null,"auth":{"client_token":"*","accessor":"*","policies":["default","x"],"token_policies":["default","x"],"metadata":null,"lease_duration":3600,"renewable":true,"entity_id":"","token_type":"service","mfa_requirement":null,"num_uses":0},"warnings":null}
hour PUT auth/token/renew-self
200 {"auth":{"lease_duration":3600}}
hour POST auth/token/renew-self {"increment":"30m"}
200 {"auth":{"lease_duration":1800}}
hour POST auth/token/renew-self {}
200 {"auth":{"lease_duration":1800}}
hour POST auth/token/renew-self {"increment":60}
200 {"auth":{"lease_duration":60}}
hour POST auth/token/renew-self {"increment":"1h30m5s"}
200 {"auth":{"lease_duration":5405}}
hour POST auth/token/renew-self {"increment":"9000h"}
200 {"auth":{"renewable":true},"warnings":["*"]}
hour POST auth/token/renew-self {"increment":"x"}
400 {"errors":["Field validation failed: error converting input for field \"increment\": time: invalid duration \"x\""]}
hour POST auth/token/renew-self {"increment":-5}
400 {"errors":["Field validation failed: error converting input for field \"increment\": cannot provide negative value '-5'"]}
hour GET auth/token/lookup-self
200 {"data":{"creation_ttl":3600,"last_renewal":"*"}}
hour GET auth/token/renew-self
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
hour POST auth/token/lookup-self
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
root GET auth/token/renew-self
405 {"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}
root GET auth/token/nosuch
404 {"errors":["1 error occurred:\n\t* unsupported path\n\n"]}
root POST auth/token/renew-self {}
400 {"errors":["lease is not renewable"]}
fixed GET auth/token/lookup-self
200 {"data":{"renewable":false}}
fixed POST auth/token/renew-self {}
400 {"errors":["lease is not renewable"]}
long GET auth/token/lookup-self
200 {"data":{"creation_ttl":2764800}}
hour POST auth/token/revoke-self
204
hour GET auth/token/lookup-self
403 {"errors":["permission denied"]}
hour POST auth/token/renew-self {}
403 {"errors":["permission denied"]}
hour POST auth/token/revoke-self
403 {"errors":["permission denied"]}
"#).await;
}

#[tokio::test]
async fn approle_logins() {
    let mut peers = Peers::start().await;
    peers
        .talk(
            r#"
- POST auth/approle/login {"role_id":"a","secret_id":"b"}
403 {"errors":["permission denied"]}
root POST auth/approle/login {"role_id":"a","secret_id":"b"}
404 {"errors":["no handler for route \"auth/approle/login\". route entry not found."]}
"#,
        )
        .await;
    peers.approle("bot", &["x"], HOUR, HOUR * 2, 2).await;
    let login = r#"
- POST auth/approle/login {"role_id":"$role_id","secret_id":"$secret_id"}
200 {"data":null,"auth":{"client_token":"*","accessor":"*","policies":["default","x"],"metadata":{"role_name":"bot"},"lease_duration":3600,"renewable":true,"entity_id":"*","orphan":true}}
"#;
    peers.talk(login).await;
    peers.keep_token("bot");
    peers.talk(login).await;
    peers.talk(r#"
- POST auth/approle/login {"role_id":"$role_id","secret_id":"$secret_id"}
400 {"errors":["invalid role or secret ID"]}
- POST auth/approle/login {"role_id":"$role_id","secret_id":"wrong"}
400 {"errors":["invalid role or secret ID"]}
bogus POST auth/approle/login {"role_id":"wrong","secret_id":"$secret_id"}
400 {"errors":["invalid role or secret ID"]}
- POST auth/approle/login {"role_id":7,"secret_id":true}
400 {"errors":["invalid role or secret ID"]}
- POST auth/approle/login {"role_id":"$role_id"}
400 {"errors":["missing secret_id"]}
- POST auth/approle/login {"secret_id":"$secret_id"}
500 {"errors":["missing role_id"]}
- POST auth/approle/login
500 {"errors":["missing role_id"]}
- GET auth/approle/login
500 {"errors":["missing role_id"]}
- LIST auth/approle/login
403 {"errors":["permission denied"]}
- POST auth/approle/login/ {}
400 {"errors":["cannot write to a path ending in '/'"]}
bot GET auth/token/lookup-self
200 {"data":{"display_name":"*","creation_ttl":3600,"meta":{"role_name":"bot"},"path":"auth/approle/login","orphan":true}}
bot POST auth/token/renew-self {"increment":"3h"}
200 {"auth":{"renewable":true},"warnings":["*"]}
bot POST auth/token/renew-self {}
200 {"auth":{"lease_duration":3600,"metadata":{"role_name":"bot"}}}
"#).await;
}

#[tokio::test]
async fn kubernetes_logins() {
    let mut peers = Peers::start().await;
    let review = TokenReview::start().await;
    peers.kubernetes(&review, "app", Some("openbao"), &["app"], &["default"]).await;
    peers.kubernetes(&review, "any", None, &["*"], &["def*"]).await;
    let jwt = |namespace, name, audience| service_account_jwt(namespace, name, audience, HOUR);
    let expired = |seconds| {
        expired_service_account_jwt("default", "app", "openbao", Duration::from_secs(seconds))
    };
    let good = jwt("default", "app", "openbao");
    peers.set("tampered", format!("{}AAAA", &good[..good.len() - 4]));
    peers.set("good", good);
    peers.set("other_namespace", jwt("other", "app", "openbao"));
    peers.set("other_name", jwt("other", "other", "openbao"));
    peers.set("other_audience", jwt("other", "other", "other"));
    peers.set("just_expired", expired(5));
    peers.set("long_expired", expired(300));
    peers.talk(r#"
- POST auth/kubernetes/login {"role":"app","jwt":"$good"}
200 {"data":null,"auth":{"policies":["default","x"],"metadata":{"role":"app","service_account_name":"app","service_account_namespace":"default","service_account_secret_name":"","service_account_uid":"*"},"lease_duration":3600,"renewable":true,"orphan":true}}
"#).await;
    peers.keep_token("app");
    peers
        .talk(
            r#"
app GET auth/token/lookup-self
200 {"data":{"display_name":"*","path":"auth/kubernetes/login"}}
- POST auth/kubernetes/login {"role":"any","jwt":"$good"}
200 {"auth":{"metadata":{"role":"any"}}}
- POST auth/kubernetes/login {"role":"any","jwt":"$other_name"}
403 {"errors":["namespace not authorized"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$tampered"}
403 {"errors":["permission denied"]}
- POST auth/kubernetes/login {"role":"app","jwt":"x.y.z"}
403 {"errors":["permission denied"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$other_namespace"}
403 {"errors":["namespace not authorized"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$other_name"}
403 {"errors":["service account name not authorized"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$other_audience"}
403 {"errors":["invalid audience (aud) claim: audience claim does not match any expected audience"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$just_expired"}
403 {"errors":["permission denied"]}
- POST auth/kubernetes/login {"role":"app","jwt":"$long_expired"}
403 {"errors":["invalid expiration time (exp) claim: token is expired"]}
- POST auth/kubernetes/login {"role":"nosuch","jwt":"$good"}
400 {"errors":["invalid role name \"nosuch\""]}
- POST auth/kubernetes/login {"role":"app"}
400 {"errors":["missing jwt"]}
bogus POST auth/kubernetes/login {"jwt":"$good"}
400 {"errors":["missing role"]}
- GET auth/kubernetes/login
405 {"errors":["unsupported operation"]}
"#,
        )
        .await;
}
