//! The fake OpenBao answers as the real one does: the same exchanges are held with both.
//!
//! The real one is asked when `PIPE_TEST_BAO_ADDR` and `PIPE_TEST_BAO_TOKEN` are set; then the two
//! must also agree on what the exchanges below leave open: all keys, their types and the headers.
//!
//! An exchange is two lines: who asks what (`token@namespace METHOD path body`), then status and
//! answer. A JSON answer lists what must be there, `"*"` is any text; others are compared whole.

#![cfg(feature = "fake")]

#[path = "fake_openbao/logins.rs"]
mod logins;
#[path = "fake_openbao/peers.rs"]
mod peers;

use std::time::Duration;

use peers::{HOUR, Peer, Peers};
use pipe_testkit::fake::{Fault, OpenBao};
use serde_json::{Value, json};

#[tokio::test]
async fn secrets_have_versions() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
root GET secret/data/a
404 {"errors":[]}
root POST secret/data/a {"data":{"k":"v"}}
200 {"data":{"created_time":"*","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1},"warnings":null,"auth":null}
root PUT secret/data/a {"data":{"k":"w"},"options":{"cas":1}}
200 {"data":{"version":2}}
root GET secret/data/a
200 {"data":{"data":{"k":"w"},"metadata":{"version":2,"destroyed":false,"deletion_time":""}}}
root GET secret/data/a?version=1
200 {"data":{"data":{"k":"v"},"metadata":{"version":1}}}
root GET secret/data/a?version=0
200 {"data":{"metadata":{"version":2}}}
root GET secret/data/a?version=-1
200 {"data":{"metadata":{"version":2}}}
root GET secret/data/a?version=9
404 {"errors":[]}
root GET secret/data/a?version=x
400 {"errors":["Field validation failed: error converting input for field \"version\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax"]}
root GET secret/data/a/
500 {"errors":["1 error occurred:\n\t* could not find version data\n\n"]}
root DELETE secret/data/a
204
root DELETE secret/data/nothing
204
root GET secret/data/a
404 {"data":{"data":null,"metadata":{"deletion_time":"*","destroyed":false,"version":2}}}
root POST secret/undelete/a {"versions":[2]}
204
root GET secret/data/a
200 {"data":{"data":{"k":"w"}}}
root POST secret/delete/a {"versions":[1,77]}
204
root GET secret/data/a?version=1
404 {"data":{"data":null,"metadata":{"deletion_time":"*","destroyed":false}}}
root POST secret/destroy/a {"versions":["2"]}
204
root GET secret/data/a
404 {"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true,"version":2}}}
root POST secret/destroy/a {}
400 {"errors":["no version number provided"]}
root POST secret/undelete/a {}
400 {"errors":["No version number provided"]}
root POST secret/destroy/nothing {"versions":[1]}
204
root POST secret/data/a {"data":{"k":"x"},"options":{"cas":0}}
400 {"errors":["check-and-set parameter did not match the current version"]}
root GET secret/metadata/a
200 {"data":{"current_version":2,"oldest_version":0,"max_versions":0,"cas_required":false,"delete_version_after":"0s","custom_metadata":null,"current_metadata_version":0,"versions":{"1":{"deletion_time":"*","destroyed":false},"2":{"deletion_time":"","destroyed":true}}}}
root DELETE secret/metadata/a
204
root GET secret/metadata/a
404 {"errors":[]}
root POST secret/data/a {"data":{"k":"x"},"options":{"cas":0}}
200 {"data":{"version":1}}
"#).await;
}

#[tokio::test]
async fn writes_are_checked() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":1}}
400 {"errors":["check-and-set parameter did not match the current version"]}
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":0}}
200 {"data":{"version":1}}
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":"1"}}
200 {"data":{"version":2}}
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":"x"}}
400 {"errors":["error parsing check-and-set parameter"]}
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":1.5}}
400 {"errors":["error parsing check-and-set parameter"]}
root POST secret/data/a {"data":{"k":"v"},"options":{"cas":null}}
400 {"errors":["check-and-set parameter did not match the current version"]}
root POST secret/data/a {"data":{"k":"v"},"options":"x"}
400 {"errors":["error converting input for field \"options\": '' expected type 'map[string]interface {}', got unconvertible type 'string'"]}
root POST secret/data/a {"options":{"cas":"x"}}
400 {"errors":["no data provided"]}
root POST secret/data/a
400 {"errors":["no data provided"]}
root POST secret/data/a null
400 {"errors":["no data provided"]}
root POST secret/data/a {"data":"x"}
400 {"errors":["error converting input for field \"data\": '' expected type 'map[string]interface {}', got unconvertible type 'string'"]}
root POST secret/data/a {"data":[1]}
400 {"errors":["error converting input for field \"data\": '[0]' expected type 'map[string]interface {}', got unconvertible type 'json.Number'"]}
root POST secret/data/a []
400 {"errors":["failed to decode JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}"]}
root POST secret/data/a {"data"
400 {"errors":["failed to decode JSON input: unexpected EOF"]}
root POST secret/data/a garbage
400 {"errors":["failed to decode JSON input: invalid character 'g' looking for beginning of value"]}
root POST secret/data/n {"data":null}
200 {"data":{"version":1}}
root GET secret/data/n
200 {"data":{"data":null,"metadata":{"version":1}}}
root POST secret/data/n {"data":{},"extra":1}
200 {"warnings":["Endpoint ignored these unrecognized parameters: [extra]"]}
root POST secret/data/n {"data":{"a":9007199254740993,"b":1.50,"c":1e3,"d":1.0,"e":true,"f":null,"g":{"h":[1,"x"]},"i":4611686018427387905}}
200 {"data":{"version":3}}
root GET secret/data/n
200 {"data":{"data":{"a":9007199254740992,"b":1.5,"c":1000,"d":1,"e":true,"f":null,"g":{"h":[1,"x"]},"i":4611686018427388000}}}
root POST secret/metadata/m {"max_versions":2,"cas_required":true,"delete_version_after":"1h","custom_metadata":{"owner":"me","n":1}}
204
root GET secret/data/m
404 {"errors":[]}
root POST secret/data/m {"data":{}}
400 {"errors":["check-and-set parameter required for this call"]}
root POST secret/data/m {"data":{},"options":{"cas":0}}
200 {"data":{"version":1,"deletion_time":"*","custom_metadata":{"owner":"me","n":"1"}}}
root POST secret/data/m {"data":{},"options":{"cas":1}}
200 {"data":{"version":2}}
root POST secret/data/m {"data":{},"options":{"cas":2}}
200 {"data":{"version":3}}
root GET secret/data/m
200 {"data":{"data":{},"metadata":{"deletion_time":"*","destroyed":false}}}
root GET secret/data/m?version=1
404 {"errors":[]}
root GET secret/metadata/m
200 {"data":{"current_version":3,"oldest_version":2,"max_versions":2,"cas_required":true,"delete_version_after":"1h0m0s","current_metadata_version":1}}
root POST secret/metadata/m {"metadata_cas":7,"custom_metadata":{}}
400 {"errors":["metadata check-and-set parameter does not match the current version"]}
root POST secret/metadata/m {"custom_metadata":{"a":""}}
400 {"errors":["1 error occurred:\n\t* custom_metadata validation failed: length of value for key \"a\" is 0 but must be 0 < len(value) <= 512\n\n"]}
root POST secret/metadata/m {"custom_metadata":"x"}
400 {"errors":["error converting input for field \"custom_metadata\": '' expected type 'map[string]interface {}', got unconvertible type 'string'"]}
"#).await;
}

#[tokio::test]
async fn bodies_have_limits() {
    let mut peers = Peers::start().await;
    for pairs in [498, 499, 500] {
        let pairs_of = (0..pairs).map(|n| (format!("k{n}"), "v".into()));
        let data = Value::Object(pairs_of.collect());
        peers.set(&format!("plain{pairs}"), json!({"data": data}).to_string());
        let with_cas = json!({"data": data, "options": {"cas": 0}});
        peers.set(&format!("cas{pairs}"), with_cas.to_string());
    }
    peers.set("huge", format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(32 << 20)));
    peers.set("large", format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(31 << 20)));
    peers
        .talk(
            r#"
root POST secret/data/a $plain499
200 {"data":{"version":1}}
root POST secret/data/b $plain500
400 {"errors":["refused JSON input due to high complexity: exceeded maximum number of strings"]}
root POST secret/data/c $cas498
200 {"data":{"version":1}}
root POST secret/data/d $cas499
400 {"errors":["refused JSON input due to high complexity: exceeded maximum number of strings"]}
bogus POST secret/data/d $cas499
400 {"errors":["refused JSON input due to high complexity: exceeded maximum number of strings"]}
root POST secret/data/e $large
200 {"data":{"version":1}}
root POST secret/data/f $huge
413 {"errors":["http: request body too large"]}
bogus POST secret/data/f $huge
413 {"errors":["http: request body too large"]}
"#,
        )
        .await;
    for _ in 0..12 {
        peers.talk("root POST secret/data/v {\"data\":{}}\n200 {}").await;
    }
    peers
        .talk(
            r#"
root GET secret/data/v?version=2
404 {"errors":[]}
root GET secret/data/v?version=3
200 {"data":{"metadata":{"version":3}}}
root GET secret/metadata/v
200 {"data":{"current_version":12,"oldest_version":3}}
"#,
        )
        .await;
}

#[tokio::test]
async fn listings_come_in_pages() {
    let mut peers = Peers::start().await;
    for name in ["a", "a..b", "a/z", "b", "sub/x", "sub/y", "sub/deep/z"] {
        let line = format!("root POST secret/data/l/{name} {{\"data\":{{}}}}\n200 {{}}");
        peers.talk(&line).await;
    }
    peers.policy("lists", &[("secret/metadata/*", &["list"])], None).await;
    peers.policy("pages", &[("secret/metadata/*", &["list", "scan"])], Some(2)).await;
    peers.token("lists", &["lists"], HOUR, true).await;
    peers.token("pages", &["pages"], HOUR, true).await;
    peers.talk(r#"
root LIST secret/metadata/l
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
root LIST secret/metadata/l/
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
root GET secret/metadata/l?list=true
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
root GET secret/metadata/l?list=maybe
400 {"errors":[]}
root GET secret/metadata/l
404 {"errors":[]}
root LIST secret/metadata
200 {"data":{"keys":["l/"]}}
root LIST secret/metadata/l?limit=2
200 {"data":{"keys":["a","a..b"]}}
root LIST secret/metadata/l?after=a%2F&limit=1
200 {"data":{"keys":["b"]}}
root LIST secret/metadata/l?after=aa
200 {"data":{"keys":["b","sub/"]}}
root LIST secret/metadata/l?after=sub/
404 {"errors":[]}
root LIST secret/metadata/l?limit=-1
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
root LIST secret/metadata/l?limit=x
400 {"errors":["Field validation failed: error converting input for field \"limit\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax"]}
root LIST secret/metadata/none
404 {"errors":[]}
root LIST secret/metadata/l/b
404 {"errors":[]}
root LIST secret/data/l
405 {"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}
root SCAN secret/metadata/l
200 {"data":{"keys":["a","a..b","b","sub/x","sub/y","sub/deep/z","a/z"]}}
root LIST secret/detailed-metadata/l
200 {"data":{"keys":["a","a..b","a/","b","sub/"],"key_info":{"a":{"current_version":1,"versions":{"1":{"deletion_time":""}}},"a/":{"current_version":1},"sub/":{}}}}
root LIST secret/detailed-metadata/l?after=a/&limit=1
200 {"data":{"keys":["b"],"key_info":{"b":{"current_version":1}}}}
root GET secret/detailed-metadata/l/a
405 {"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}
lists LIST secret/metadata/l
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
lists LIST secret/detailed-metadata/l
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
lists SCAN secret/metadata/l
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
"#).await;
    peers.fake().set_page_limit(2);
    peers
        .talk(
            r#"
pages LIST secret/metadata/l
200 {"data":{"keys":["a","a..b"]}}
pages LIST secret/metadata/l?limit=1
200 {"data":{"keys":["a"]}}
pages LIST secret/metadata/l?after=a/
200 {"data":{"keys":["b","sub/"]}}
pages LIST secret/metadata/l?limit=5
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
pages LIST secret/metadata/l?limit=-1
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
pages SCAN secret/metadata/l
200 {"data":{"keys":["a","a..b","b","sub/x","sub/y","sub/deep/z","a/z"]}}
root LIST secret/metadata/l?limit=5
200 {"data":{"keys":["a","a..b","a/","b","sub/"]}}
"#,
        )
        .await;
}

#[tokio::test]
async fn policies_decide() {
    let mut peers = Peers::start().await;
    peers.allowed("read", &[("secret/data/a/*", &["read"])]).await;
    peers.allowed("create", &[("secret/data/*", &["create"])]).await;
    peers.allowed("update", &[("secret/data/*", &["update"])]).await;
    let deny: &[(&str, &[&str])] = &[("secret/data/*", &["read"]), ("secret/data/a/b", &["deny"])];
    peers.allowed("deny", deny).await;
    let narrow: &[(&str, &[&str])] =
        &[("secret/data/+/b", &["read"]), ("secret/data/a/*", &["update"])];
    peers.allowed("narrow", narrow).await;
    peers.allowed("all", &[("*", &["read", "update"])]).await;
    peers.token("none", &[], HOUR, true).await;
    peers.token("both", &["read", "deny"], HOUR, true).await;
    peers.talk(r#"
root POST secret/data/a/b {"data":{"k":"v"}}
200 {}
read GET secret/data/a/b
200 {}
read GET secret/data/a/missing
404 {"errors":[]}
read GET secret/data/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
read POST secret/data/a/b {"data":{}}
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
read POST secret/data/a/b {"data":"x"}
400 {"errors":["error converting input for field \"data\": '' expected type 'map[string]interface {}', got unconvertible type 'string'"]}
read DELETE secret/data/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
read GET secret/metadata/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
create POST secret/data/a/b {"data":{}}
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
create POST secret/data/new {"data":{}}
200 {"data":{"version":1}}
update POST secret/data/new2 {"data":{}}
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
update POST secret/data/new {"data":{}}
200 {"data":{"version":2}}
root DELETE secret/data/new
204
create POST secret/data/new {"data":{}}
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
deny GET secret/data/new
404 {}
deny GET secret/data/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
both GET secret/data/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
narrow GET secret/data/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
narrow POST secret/data/a/b {"data":{}}
200 {"data":{"version":2}}
narrow GET secret/data/b/b
404 {"errors":[]}
none GET secret/data/a/b
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
none GET nosuch/data/a
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
none GET sys/nosuch
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
all GET nosuch/data/a
404 {"errors":["no handler for route \"nosuch/data/a\". route entry not found."]}
root GET nosuch/data/a
404 {"errors":["no handler for route \"nosuch/data/a\". route entry not found."]}
root GET auth/nosuch/x
404 {"errors":["no handler for route \"auth/nosuch/x\". route entry not found."]}
root GET sys/nosuch
404 {"errors":["1 error occurred:\n\t* unsupported path\n\n"]}
root GET secret/a
404 {"data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the OpenBao CLI, use 'bao kv get' for this operation."]}
root POST secret/a {"data":{}}
404 {"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the OpenBao CLI, use 'bao kv put' for this operation."]}
root LIST secret
404 {"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the OpenBao CLI, use 'bao kv list' for this operation."]}
root GET secret/data
404 {"warnings":["Non-listing operations on the root of a K/V v2 mount are not supported."]}
- GET secret/data/a/b
403 {"errors":["permission denied"]}
bogus GET secret/data/a/b
403 {"errors":["permission denied"]}
bogus POST secret/data/a/b {"data":"x"}
403 {"errors":["permission denied"]}
- GET nosuch
403 {"errors":["permission denied"]}
"#).await;
}

#[tokio::test]
async fn namespaces_are_apart() {
    let mut peers = Peers::start().await;
    peers.namespace("child").await;
    let paths: &[(&str, &[&str])] =
        &[("secret/data/*", &["create", "read"]), ("child/secret/data/down", &["read"])];
    peers.policy("parent", paths, None).await;
    peers.token("parent", &["parent"], HOUR, true).await;
    peers
        .talk(
            r#"
root POST secret/data/a {"data":{"where":"parent"}}
200 {}
root@child GET secret/data/a
404 {"errors":[]}
root@child POST secret/data/down {"data":{"where":"child"}}
200 {}
root GET child/secret/data/down
200 {"data":{"data":{"where":"child"}}}
root@/child/ GET secret/data/down
200 {"data":{"data":{"where":"child"}}}
parent GET secret/data/a
200 {"data":{"data":{"where":"parent"}}}
parent@child GET secret/data/down
200 {}
parent@child GET secret/data/a
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
parent@.. GET secret/data/a
403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}
parent@.. GET auth/token/lookup-self
200 {"data":{"namespace_path":"*"}}
parent@child POST auth/token/renew-self {}
200 {"auth":{"lease_duration":3600}}
root@nosuch GET secret/data/a
404 {"errors":["namespace not found"]}
bogus@nosuch GET secret/data/a
404 {"errors":["namespace not found"]}
-@nosuch POST auth/approle/login {}
404 {"errors":["namespace not found"]}
root@nosuch POST secret/data/a garbage
400 {"errors":["failed to decode JSON input: invalid character 'g' looking for beginning of value"]}
root@nosuch POST secret/data/ {}
404 {"errors":["namespace not found"]}
root GET sys/health
400 {"errors":["operation unavailable in namespaces"]}
root@nosuch GET sys/seal-status
200 {"sealed":false,"initialized":true,"type":"shamir"}
"#,
        )
        .await;
}

#[tokio::test]
async fn what_http_has_to_say_comes_first() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
-@.. GET sys/health
200 {"initialized":true,"sealed":false,"standby":false,"version":"*"}
-@.. GET sys/health?activecode=299
299 {"sealed":false}
-@.. GET sys/health?activecode=x
400 {"errors":[]}
-@.. POST sys/health {}
405 {"errors":[]}
- GET sys/seal-status
200 {"sealed":false}
- POST sys/seal-status {}
405 {"errors":[]}
root GET secret/data//a?version=1
307 <a href="/v1/secret/data/a?version=1">Temporary Redirect</a>.
root GET secret/data/./a
307 <a href="/v1/secret/data/a">Temporary Redirect</a>.
root GET secret/data/a/..
307 <a href="/v1/secret/data">Temporary Redirect</a>.
root POST secret/data//a {"data":{}}
307
root GET secret/data/%2e%2e/a
400 {"errors":["relative paths not supported"]}
root GET secret/data/a%00
400
root GET secret/data/a%zz
400 400 Bad Request
root POST secret/data/a%2Fb {"data":{"k":"v"}}
200 {"data":{"version":1}}
root GET secret/data/a/b
200 {"data":{"data":{"k":"v"}}}
root POST secret/data/sp%20a+ce%3F%23 {"data":{}}
200 {}
root LIST secret/metadata/
200 {"data":{"keys":["a/","sp a+ce?#"]}}
root POST secret/data/a/ {"data":{}}
400 {"errors":["cannot write to a path ending in '/'"]}
bogus POST secret/data/a/ {"data":{}}
400 {"errors":["cannot write to a path ending in '/'"]}
root PATCH secret/data/a {}
415 {"errors":["PATCH requires Content-Type of application/merge-patch+json, provided application/json"]}
root OPTIONS secret/data/a
400 {"errors":["cannot handle internal-only request operation"]}
root FOO secret/data/a
405 {"errors":[]}
root DELETE secret/data/a garbage
204
bearer:root GET secret/data/a/b
200 {}
bearer:bogus GET secret/data/a/b
403 {"errors":["permission denied"]}
bao:root GET secret/data/a/b
403 {"errors":["permission denied"]}
"#).await;
}

/// The real server is not sealed for this, nor is its clock moved: these answers were measured once.
#[tokio::test]
async fn what_only_the_fake_can_be_asked_for() {
    let bao = OpenBao::start().await;
    let peer = Peer::fake(&bao, "");
    let get = async |token: &str, path: &str| {
        let answer = peer.ask("GET", path, &[("X-Vault-Token", token)], "").await;
        (answer.status, answer.body.trim().to_owned())
    };
    assert_eq!(bao.write("a", json!({"k": "v"})), 1);
    let token = bao.create_token(&[], Some(HOUR), true);
    assert_eq!(get(&token, "auth/token/lookup-self").await.0, 200);
    bao.advance(HOUR - Duration::from_secs(60));
    assert_eq!((get(&token, "auth/token/lookup-self").await.0, bao.live_tokens()), (200, 1));
    bao.advance(Duration::from_secs(60));
    let refused = (403, r#"{"errors":["permission denied"]}"#.to_owned());
    assert_eq!((get(&token, "auth/token/lookup-self").await, bao.live_tokens()), (refused, 0));

    let twenty = Duration::from_secs(20);
    let (role_id, secret_id) = bao.create_approle("short", &[], twenty, twenty * 3 / 2, 0);
    let body = json!({"role_id": role_id, "secret_id": secret_id}).to_string();
    let login = peer.ask("POST", "auth/approle/login", &[], &body).await;
    let login = serde_json::from_str::<Value>(&login.body).unwrap();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let renew = async || {
        let token = [("X-Vault-Token", token)];
        peer.ask("POST", "auth/token/renew-self", &token, "{}").await
    };
    bao.advance(Duration::from_secs(16));
    let capped = "exceeded the effective max_ttl of \\\"14s\\\"; TTL value is capped accordingly";
    let renewed = renew().await;
    assert!(renewed.body.contains(capped), "{renewed:?}");
    bao.advance(Duration::from_secs(14));
    assert_eq!((renew().await.status, bao.logins(), bao.renewals()), (403, 1, 1));

    bao.seal();
    let sealed = (503, r#"{"errors":["Vault is sealed"]}"#.to_owned());
    assert_eq!(get(&bao.root_token(), "secret/data/a").await, sealed);
    assert_eq!(get("", "sys/health").await.0, 503);
    bao.unseal();
    bao.set_standby(true);
    assert_eq!(get("", "sys/health").await.0, 429);
    assert_eq!(get("", "sys/health?standbyok=true").await.0, 200);
    assert_eq!(get(&bao.root_token(), "secret/data/a").await.0, 200);

    bao.inject(Fault::RateLimited { retry_after: Some(0) }, "secret/data/", 1);
    bao.inject(Fault::EchoSecrets(400), "secret/", 1);
    let limited = r#"{"errors":["request path \"secret/data/a\": rate limit quota exceeded"]}"#;
    assert_eq!(get("", "secret/data/a").await, (429, limited.to_owned()));
    assert!(get("shown", "secret/data/a").await.1.contains("shown"));
    assert_eq!(get(&bao.root_token(), "secret/data/a").await.0, 200);
    for fault in [Fault::Reset, Fault::ResetMidBody] {
        bao.inject(fault, "", 1);
        assert_eq!(get(&bao.root_token(), "secret/data/a").await.0, 0, "no whole answer");
    }
    bao.inject(Fault::HugeBody(1 << 20), "", 1);
    assert!(get("", "secret/data/a").await.1.len() > 1 << 20);
    bao.inject(Fault::Hang, "", 1);
    let waiting = tokio::time::timeout(Duration::from_millis(50), get("", "x")).await;
    assert!(waiting.is_err(), "a hanging request is not answered");

    let asked = bao.requests();
    bao.stop().await;
    assert_eq!(get(&bao.root_token(), "secret/data/a").await.0, 0);
    bao.start_again().await;
    assert_eq!(get(&bao.root_token(), "secret/data/a").await.0, 200);
    assert_eq!(bao.requests(), asked + 1);
    assert_eq!(bao.hits("auth/token/lookup-self"), 3);
    assert_eq!(format!("{bao:?}"), format!("OpenBao {{ address: {:?}, .. }}", bao.address()));
}
