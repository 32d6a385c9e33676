//! One Secret: create, read, replace and delete.

use super::peers::Peers;

#[tokio::test]
async fn a_secret_is_created_read_and_deleted() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"djE="}}
201 {"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","namespace":"$ns","uid":"*","resourceVersion":"*","creationTimestamp":"*"},"data":{"k":"djE="},"type":"Opaque"}
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"djE="}}
409 {"reason":"AlreadyExists","message":"secrets \"a\" already exists","details":{"name":"a","kind":"secrets"},"code":409}
admin GET secrets/a
200 {"data":{"k":"djE="},"type":"Opaque"}
admin GET secrets/absent
404 {"reason":"NotFound","message":"secrets \"absent\" not found","details":{"name":"absent","kind":"secrets"}}
admin GET /api/v1/namespaces/absent-ns/secrets/x
404 {"reason":"NotFound","details":{"name":"x","kind":"secrets"}}
admin POST /api/v1/namespaces/absent-ns/secrets +{"metadata":{"name":"x"}}
404 {"reason":"NotFound","details":{"name":"absent-ns","kind":"namespaces"}}
admin GET /api/v1/namespaces/absent-ns/secrets
200 {"kind":"SecretList","items":[]}
admin POST secrets +{"metadata":{"name":"sd"},"data":{"both":"eA==","d":"eA=="},"stringData":{"both":"from-stringData","s":"y"}}
201 {"data":{"both":"ZnJvbS1zdHJpbmdEYXRh","d":"eA==","s":"eQ=="},"stringData":null}
admin POST secrets +{"metadata":{"generateName":"gen-"}}
201 {"metadata":{"name":"*","generateName":"gen-"}}
admin DELETE secrets/sd
200 {"kind":"Status","status":"Success","details":{"name":"sd","kind":"secrets","uid":"*"}}
admin DELETE secrets/sd
404 {"reason":"NotFound","details":{"name":"sd","kind":"secrets"}}
"#).await;
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets?dryRun=All +{"metadata":{"name":"dry"}}
201 {"metadata":{"name":"dry","uid":"*","resourceVersion":null}}
admin GET secrets/dry
404 {"reason":"NotFound"}
admin POST secrets?dryRun=Yes +{"metadata":{"name":"dry"}}
422 {"reason":"Invalid","message":"CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Yes\"]: supported values: \"All\"","details":{"name":null,"group":"meta.k8s.io","kind":"CreateOptions","causes":[{"reason":"FieldValueNotSupported","field":"dryRun"}]}}
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"MQ=="}}
201
= rv /metadata/resourceVersion
admin PUT secrets/a?dryRun=All +{"metadata":{"name":"a"},"data":{"k":"Mg=="}}
200 {"data":{"k":"Mg=="},"metadata":{"resourceVersion":"$rv"}}
admin DELETE secrets/a?dryRun=All
200 {"status":"Success"}
admin GET secrets/a
200 {"data":{"k":"MQ=="},"metadata":{"resourceVersion":"$rv"}}
"#).await;
}

#[tokio::test]
async fn a_replacement_is_of_the_state_it_names() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"djE="}}
201
= rv /metadata/resourceVersion
= uid /metadata/uid
admin PUT secrets/a +{"metadata":{"name":"a","resourceVersion":"$rv","uid":"$uid"},"data":{"k":"djI="}}
200 {"data":{"k":"djI="},"metadata":{"uid":"$uid"}}
admin PUT secrets/a +{"metadata":{"name":"a","resourceVersion":"$rv"},"data":{"k":"djI="}}
409 {"reason":"Conflict","message":"Operation cannot be fulfilled on secrets \"a\": the object has been modified; please apply your changes to the latest version and try again","details":{"name":"a","kind":"secrets","causes":null}}
admin PUT secrets/a +{"metadata":{"name":"a"},"data":{"k":"djM="}}
200 {"data":{"k":"djM="}}
= rv /metadata/resourceVersion
admin PUT secrets/a +{"metadata":{"name":"a"},"data":{"k":"djM="}}
200 {"metadata":{"resourceVersion":"$rv"}}
admin PUT secrets/absent +{"metadata":{"name":"absent"}}
404 {"reason":"NotFound","details":{"name":"absent","kind":"secrets"}}
admin PUT secrets/a +{"metadata":{"name":"a","uid":"00000000-0000-0000-0000-000000000000"},"data":{"k":"djM="}}
409 {"reason":"Conflict","details":{"name":"a","kind":"secrets"}}
admin PUT secrets/a +{"metadata":{"name":"b"}}
400 {"reason":"BadRequest","message":"the name of the object (b) does not match the name on the URL (a)"}
admin PUT secrets/a +{"metadata":{"name":"a","namespace":"other"}}
400 {"reason":"BadRequest","message":"the namespace of the provided object does not match the namespace sent on the request"}
admin PUT secrets/a +{"metadata":{"name":"a","resourceVersion":"abc"}}
500 {"reason":null,"code":500}
"#).await;
}

#[tokio::test]
async fn a_deletion_is_of_the_state_it_names() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"}}
201
= rv /metadata/resourceVersion
= uid /metadata/uid
admin DELETE secrets/a {"preconditions":{"uid":"0"}}
409 {"reason":"Conflict"}
admin DELETE secrets/a {"preconditions":{"resourceVersion":"1"}}
409 {"reason":"Conflict"}
1.36: admin DELETE secrets/a {"preconditions":{"uid":"0"}}
409 {"message":"Operation cannot be fulfilled on Secret \"a\": the UID in the precondition (0) does not match the UID in record ($uid). The object might have been deleted and then recreated","details":{"name":"a","kind":"Secret"}}
1.36: admin DELETE secrets/a {"preconditions":{"resourceVersion":"1"}}
409 {"message":"Operation cannot be fulfilled on Secret \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ($rv). The object might have been modified"}
admin DELETE secrets/a {"preconditions":{"uid":"$uid","resourceVersion":"$rv"}}
200 {"status":"Success","details":{"uid":"$uid"}}
admin POST secrets +{"metadata":{"name":"hold","finalizers":["example.com/hold"]}}
201 {"metadata":{"finalizers":["example.com/hold"]}}
admin DELETE secrets/hold
200 {"kind":"Secret","metadata":{"deletionTimestamp":"*","deletionGracePeriodSeconds":0}}
admin GET secrets/hold
200 {"metadata":{"deletionTimestamp":"*"}}
admin MERGE secrets/hold {"metadata":{"finalizers":null}}
200 {"metadata":{"finalizers":null}}
admin GET secrets/hold
404 {"reason":"NotFound"}
"#).await;
}

#[tokio::test]
async fn what_is_no_secret_is_refused() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"}}
201
admin POST:text/plain secrets +{"metadata":{"name":"b"}}
415 {"reason":"UnsupportedMediaType"}
admin GET:text/html secrets/a
406 {"reason":"NotAcceptable","code":406}
admin POST secrets {"kind":
400 {"reason":"BadRequest"}
admin POST secrets +{"metadata":{"name":"b"},"data":{"k":"***"}}
400 {"reason":"BadRequest"}
admin POST secrets +{"metadata":{"name":"b"},"data":{"k":1}}
400 {"reason":"BadRequest"}
admin PUT secrets/a +{"metadata":{"name":"a"},"data":{"k":"***"}}
400 {"reason":"BadRequest"}
1.36: admin POST secrets?fieldValidation=Strict +{"metadata":{"name":"b"},"bogus":1}
400 {"reason":"BadRequest","message":"Secret in version \"v1\" cannot be handled as a Secret: strict decoding error: unknown field \"bogus\""}
1.36: admin POST secrets?dryRun=All +{"metadata":{"name":"b"},"bogus":1}
201 {"bogus":null}
admin POST secrets?fieldValidation=Ignore&dryRun=All +{"metadata":{"name":"b"},"bogus":1}
201 {"bogus":null}
admin POST secrets {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}
400 {"reason":"BadRequest"}
admin POST secrets/a +{"metadata":{"name":"a"}}
405 {"reason":"MethodNotAllowed"}
admin PUT secrets +{"metadata":{"name":"a"}}
405 {"reason":"MethodNotAllowed"}
admin GET secretz
404 {"reason":"NotFound","message":"the server could not find the requested resource"}
admin GET /apis/nope.example/v1/x
404 "404 page not found\n"
"#).await;
}
