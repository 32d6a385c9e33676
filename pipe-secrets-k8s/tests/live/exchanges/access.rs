//! Who may do what, and who somebody is.

use super::peers::Peers;

#[tokio::test]
async fn who_may_not_is_told_what() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
stranger GET secrets
401 {"reason":"Unauthorized","message":"Unauthorized","code":401}
elsewhere GET secrets
401 {"reason":"Unauthorized"}
anonymous GET secrets
403 {"reason":"Forbidden","message":"secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\" in API group \"\" in the namespace \"$ns\"","details":{"kind":"secrets"}}
nobody GET secrets
403 {"reason":"Forbidden","details":{"kind":"secrets"}}
nobody GET secrets/a
403 {"message":"secrets \"a\" is forbidden: User \"nobody\" cannot get resource \"secrets\" in API group \"\" in the namespace \"$ns\"","details":{"name":"a","kind":"secrets"}}
nobody POST secrets +{"metadata":{"name":"a"}}
403 {"reason":"Forbidden","details":{"kind":"secrets","name":null}}
nobody GET /api/v1/secrets
403 {"message":"secrets is forbidden: User \"nobody\" cannot list resource \"secrets\" in API group \"\" at the cluster scope","details":{"kind":"secrets"}}
app GET secrets
403 {"message":"secrets is forbidden: User \"system:serviceaccount:$ns:app\" cannot list resource \"secrets\" in API group \"\" in the namespace \"$ns\""}
"#).await;
}

#[tokio::test]
async fn rights_can_be_to_secrets_by_name() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"MQ=="}}
201
admin POST secrets +{"metadata":{"name":"p0"}}
201
limited GET secrets/a
200 {"data":{"k":"MQ=="}}
limited GET secrets/p0
403 {"details":{"name":"p0","kind":"secrets"}}
limited GET secrets
403 {"details":{"kind":"secrets"}}
limited GET secrets?fieldSelector=metadata.name%3Da
200 {"items":[{"metadata":{"name":"a"}}]}
limited GET secrets?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da
200 {"type":"ADDED","object":{"metadata":{"name":"a"}}}
limited APPLY secrets/a?fieldManager=sa +{"metadata":{"name":"a"},"data":{"by":"c2E="}}
200 {"data":{"by":"c2E=","k":"MQ=="}}
1.36: limited APPLY secrets/named?fieldManager=sa +{"data":{"by":"c2E="}}
403 {"message":"secrets \"named\" is forbidden: User \"limited\" cannot create resource \"secrets\" in API group \"\" in the namespace \"$ns\"","details":{"name":"named","kind":"secrets"}}
limited GET secrets/named
404 {"reason":"NotFound"}
limited GET secrets/absent
403 {"reason":"Forbidden"}
limited DELETE secrets/a
403 {"details":{"name":"a","kind":"secrets"}}
"#).await;
}

#[tokio::test]
async fn everybody_known_can_ask_for_their_rights() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"namespace":"$ns","verb":"get","resource":"secrets"}}}
201 {"kind":"SelfSubjectAccessReview","status":{"allowed":true}}
nobody POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"namespace":"$ns","verb":"get","resource":"secrets"}}}
201 {"status":{"allowed":false}}
limited POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"namespace":"$ns","verb":"get","resource":"secrets","name":"a"}}}
201 {"status":{"allowed":true}}
anonymous POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"secrets"}}}
403 {"details":{"group":"authorization.k8s.io","kind":"selfsubjectaccessreviews"}}
admin POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews {"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{}}
422 {"details":{"group":"authorization.k8s.io","causes":[{"reason":"FieldValueInvalid","field":"spec.resourceAttributes"}]}}
"#).await;
}

#[tokio::test]
async fn tokens_are_issued_within_limits() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}
201 {"kind":"TokenRequest","spec":{"audiences":["$audience"],"expirationSeconds":3600,"boundObjectRef":null},"status":{"token":"*","expirationTimestamp":"*"}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["mine"],"expirationSeconds":600}}
201 {"spec":{"audiences":["mine"],"expirationSeconds":600}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":599}}
422 {"details":{"group":"authentication.k8s.io","kind":"TokenRequest","causes":[{"reason":"FieldValueInvalid","field":"spec.expirationSeconds"}]}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":8589934592}}
422 {"details":{"causes":[{"reason":"FieldValueInvalid","field":"spec.expirationSeconds"}]}}
admin POST serviceaccounts/absent/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}
404 {"details":{"name":"absent","kind":"serviceaccounts"}}
nobody POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}
403 {"details":{"name":"app","kind":"serviceaccounts"}}
admin POST secrets +{"metadata":{"name":"bound"}}
201
= uid /metadata/uid
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"bound","uid":"$uid"}}}
201 {"spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"bound","uid":"$uid"}}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"none"}}}
404 {"details":{"name":"none","kind":"secrets"}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"none"}}}
404 {"details":{"name":"none","kind":"pods"}}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"bound","uid":"x"}}}
409 {"reason":"Conflict"}
admin POST serviceaccounts/app/token {"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"ConfigMap","apiVersion":"v1","name":"x"}}}
400 {"reason":"BadRequest"}
"#).await;
}

#[tokio::test]
async fn a_refused_token_is_not_said_to_be_authenticated() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"$app"}}
201 {"status":{"authenticated":true,"user":{"username":"system:serviceaccount:$ns:app","uid":"*","groups":["system:serviceaccounts","system:serviceaccounts:$ns","system:authenticated"]},"audiences":["$audience"]}}
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"$elsewhere","audiences":["elsewhere","other"]}}
201 {"status":{"authenticated":true,"audiences":["elsewhere"]}}
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"$elsewhere","audiences":["other"]}}
201 {"status":{"authenticated":null,"user":{},"error":"*"}}
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"$elsewhere"}}
201 {"status":{"authenticated":null,"user":{},"error":"*"}}
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"garbage"}}
201 {"status":{"authenticated":null,"user":{},"error":"*"}}
admin POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}
400 {"reason":"BadRequest"}
nobody POST /apis/authentication.k8s.io/v1/tokenreviews {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"garbage"}}
403 {"details":{"group":"authentication.k8s.io","kind":"tokenreviews"}}
"#).await;
}
