//! Lists, watches and deletions of many.

use super::peers::Peers;

const FIVE: &str = r#"
admin POST secrets +{"metadata":{"name":"p0","labels":{"set":"page"}},"data":{"k":"MA=="}}
201
admin POST secrets +{"metadata":{"name":"p1","labels":{"set":"page"}},"data":{"k":"MQ=="}}
201
admin POST secrets +{"metadata":{"name":"p2","labels":{"set":"page"}},"data":{"k":"Mg=="}}
201
admin POST secrets +{"metadata":{"name":"other"},"type":"example.com/thing"}
201
"#;

#[tokio::test]
async fn a_list_comes_in_pages() {
    let mut peers = Peers::start().await;
    peers.talk(FIVE).await;
    peers.talk(r#"
admin GET secrets?limit=2&labelSelector=set%3Dpage
200 {"kind":"SecretList","items":[{"metadata":{"name":"p0"},"data":{"k":"MA=="},"kind":null},{"metadata":{"name":"p1"}}],"metadata":{"continue":"*"}}
= next /metadata/continue
admin GET secrets?limit=2&labelSelector=set%3Dpage&continue=$next
200 {"items":[{"metadata":{"name":"p2"}}],"metadata":{"continue":null}}
admin GET secrets?limit=2&continue=garbage
400 {"reason":"BadRequest"}
admin GET:application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1 secrets/p0
200 {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"p0","labels":{"set":"page"}},"data":null,"type":null}
admin GET:application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1 secrets?labelSelector=set%3Dpage&limit=1
200 {"kind":"PartialObjectMetadataList","items":[{"metadata":{"name":"p0"},"data":null}]}
"#).await;
}

#[tokio::test]
async fn a_list_is_of_what_was_selected() {
    let mut peers = Peers::start().await;
    peers.talk(FIVE).await;
    peers.talk(r#"
admin GET secrets?fieldSelector=metadata.name%3Dp1
200 {"items":[{"metadata":{"name":"p1"}}]}
admin GET secrets?fieldSelector=type%3Dexample.com%2Fthing
200 {"items":[{"metadata":{"name":"other"}}]}
admin GET /api/v1/secrets?fieldSelector=metadata.namespace%3D$ns&labelSelector=set
200 {"items":[{"metadata":{"name":"p0"}},{"metadata":{"name":"p1"}},{"metadata":{"name":"p2"}}]}
admin GET secrets?fieldSelector=data.k%3Dx
400 {"reason":"BadRequest","message":"field label not supported: data.k"}
admin GET secrets?labelSelector=a%20b
400 {"reason":"BadRequest"}
admin GET secrets?resourceVersionMatch=Exact
422 {"reason":"Invalid","details":{"causes":[{"reason":"FieldValueForbidden","field":"resourceVersionMatch"}]}}
1.36: admin GET secrets?resourceVersion=abc
400 {"reason":"BadRequest"}
1.36: admin GET secrets?resourceVersion=999999999
504 {"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1}}
"#).await;
}

#[tokio::test]
async fn what_was_selected_is_deleted_at_once() {
    let mut peers = Peers::start().await;
    peers.talk(FIVE).await;
    peers
        .talk(
            r#"
admin DELETE secrets?labelSelector=set%3Dpage
200 {"kind":"SecretList"}
admin GET secrets?labelSelector=set
200 {"items":[]}
admin GET secrets/other
200 {"type":"example.com/thing"}
nobody DELETE secrets
403 {"reason":"Forbidden","details":{"kind":"secrets"}}
"#,
        )
        .await;
}

#[tokio::test]
async fn a_watch_is_refused_before_it_begins() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin GET secrets?watch=1&resourceVersion=abc
500 {"reason":null,"code":500}
nobody GET secrets?watch=1
403 {"reason":"Forbidden","message":"secrets is forbidden: User \"nobody\" cannot watch resource \"secrets\" in API group \"\" in the namespace \"$ns\"","details":{"kind":"secrets"}}
1.36: admin GET secrets?watch=1&sendInitialEvents=true
422 {"reason":"Invalid","details":{"causes":[{"reason":"FieldValueForbidden","field":"resourceVersionMatch"}]}}
1.36: admin GET secrets?watch=1&resourceVersion=1
200 {"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}
admin GET secrets?watch=1&timeoutSeconds=1
200 ""
admin POST secrets +{"metadata":{"name":"w"},"data":{"k":"MQ=="}}
201
admin GET secrets?watch=1&timeoutSeconds=1
200 {"type":"ADDED","object":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"w"},"data":{"k":"MQ=="}}}
admin GET:application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1 secrets?watch=1&timeoutSeconds=1
200 {"type":"ADDED","object":{"kind":"PartialObjectMetadata","metadata":{"name":"w"},"data":null}}
"#).await;
}
