//! Patches in their four forms.

use super::peers::Peers;

#[tokio::test]
async fn a_merge_patch_merges() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a","labels":{"l":"1"}},"data":{"k":"MQ==","z":"Mg=="}}
201
= rv /metadata/resourceVersion
admin MERGE secrets/a {"data":{"n":"bmV3","z":null}}
200 {"data":{"k":"MQ==","n":"bmV3"},"metadata":{"labels":{"l":"1"}}}
admin MERGE secrets/a {"stringData":{"s":"text"}}
200 {"data":{"k":"MQ==","n":"bmV3","s":"dGV4dA=="}}
admin MERGE secrets/a {"metadata":{"resourceVersion":"$rv"},"data":{"k":"Mw=="}}
409 {"reason":"Conflict","details":{"name":"a","kind":"secrets"}}
admin MERGE secrets/a {"metadata":{"uid":"5b0a2d2c-0000-0000-0000-000000000000"}}
422 {"reason":"Invalid","details":{"name":"a","kind":"Secret","causes":[{"reason":"FieldValueInvalid","field":"metadata.uid"},{"reason":"FieldValueInvalid","field":"metadata.uid"}]}}
admin MERGE secrets/absent {"data":{"k":"Mw=="}}
404 {"reason":"NotFound","details":{"name":"absent","kind":"secrets"}}
admin MERGE secrets/a?force=true&fieldManager=x {"data":{"k":"Mw=="}}
422 {"reason":"Invalid","details":{"name":null,"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueForbidden","field":"force"}]}}
admin PATCH secrets/a {"data":{"k":"Mw=="}}
415 {"reason":"UnsupportedMediaType"}
"#).await;
}

#[tokio::test]
async fn a_patch_that_cannot_be_read_is_answered_with_what_is_stored() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"},"data":{"stored":"c3RvcmVk"}}
201
admin MERGE secrets/a {"data":{"k":"***"}}
422 {"reason":"Invalid","message":"*","details":{"causes":[{"reason":"FieldValueInvalid","field":"patch","message":"*"}]}}
admin STEPS secrets/a [{"op":"add","path":"/data/k","value":"***"}]
422 {"reason":"Invalid","details":{"causes":[{"reason":"FieldValueInvalid","field":"patch"}]}}
1.36: admin MERGE secrets/a?fieldValidation=Strict {"bogus":1}
422 {"reason":"Invalid","details":{"causes":[{"reason":"FieldValueInvalid","field":"patch"}]}}
admin STRATEGIC secrets/a {"data":{"k":"***"}}
422 {"reason":"Invalid","details":{"causes":[{"reason":"FieldValueInvalid","field":"patch"}]}}
admin GET secrets/a
200 {"data":{"stored":"c3RvcmVk"}}
"#).await;
}

#[tokio::test]
async fn a_strategic_patch_merges_lists_too() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a","finalizers":["example.com/one"]},"data":{"k":"MQ=="}}
201
admin STRATEGIC secrets/a {"metadata":{"finalizers":["example.com/two"]},"data":{"z":"Mg=="}}
200 {"data":{"k":"MQ==","z":"Mg=="},"metadata":{"finalizers":["example.com/two","example.com/one"]}}
admin STRATEGIC secrets/a {"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/one","example.com/two"]},"data":{"z":null}}
200 {"data":{"k":"MQ=="},"metadata":{"finalizers":null}}
admin STRATEGIC secrets/a {"data":{"$patch":"replace","only":"MQ=="}}
200 {"data":{"only":"MQ=="}}
"#).await;
}

#[tokio::test]
async fn a_json_patch_is_done_as_a_whole_or_not_at_all() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"a"},"data":{"k":"MQ=="}}
201
admin STEPS secrets/a [{"op":"test","path":"/data/k","value":"MQ=="},{"op":"add","path":"/data/jp","value":"Mg=="}]
200 {"data":{"jp":"Mg==","k":"MQ=="}}
admin STEPS secrets/a [{"op":"add","path":"/data/other","value":"MQ=="},{"op":"test","path":"/data/k","value":"x"}]
422 {"reason":"Invalid","message":"the server rejected our request due to an error in our request"}
admin STEPS secrets/a [{"op":"remove","path":"/data/absent"}]
422 {"reason":"Invalid"}
admin STEPS secrets/a {"op":"remove"}
400 {"reason":"BadRequest"}
admin GET secrets/a
200 {"data":{"jp":"Mg==","k":"MQ==","other":null}}
"#).await;
}

#[tokio::test]
async fn an_apply_owns_its_fields() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"data":{"one":"MQ==","two":"Mg=="}}
201 {"data":{"one":"MQ==","two":"Mg=="},"type":"Opaque"}
= rv /metadata/resourceVersion
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"data":{"one":"MQ==","two":"Mg=="}}
200 {"metadata":{"resourceVersion":"$rv"}}
admin APPLY secrets/ssa?fieldManager=beta +{"metadata":{"name":"ssa"},"data":{"one":"eA=="}}
409 {"reason":"Conflict","message":"Apply failed with 1 conflict: conflict with \"alpha\": .data.one","details":{"name":null,"kind":null,"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"alpha\"","field":".data.one"}]}}
admin APPLY secrets/ssa?fieldManager=beta +{"metadata":{"name":"ssa"},"data":{"one":"eA==","two":"eA=="}}
409 {"message":"Apply failed with 2 conflicts: conflicts with \"alpha\":\n- .data.one\n- .data.two","details":{"causes":[{"field":".data.one"},{"field":".data.two"}]}}
admin APPLY secrets/ssa?fieldManager=beta +{"metadata":{"name":"ssa"},"data":{"one":"MQ=="}}
200 {"data":{"one":"MQ==","two":"Mg=="}}
admin APPLY secrets/ssa?fieldManager=beta&force=true +{"metadata":{"name":"ssa"},"data":{"one":"eA==","three":"Mw=="}}
200 {"data":{"one":"eA==","three":"Mw==","two":"Mg=="}}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"data":{}}
200 {"data":{"one":"eA==","three":"Mw==","two":null}}
admin PUT secrets/ssa?fieldManager=hand +{"metadata":{"name":"ssa"},"data":{"one":"aGFuZA=="}}
200 {"data":{"one":"aGFuZA==","three":null}}
admin APPLY secrets/ssa?fieldManager=beta +{"metadata":{"name":"ssa"},"data":{"one":"MQ=="}}
409 {"details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"hand\" using v1","field":".data.one"}]}}
admin APPLY secrets/ssa?fieldManager=gamma&dryRun=All +{"metadata":{"name":"ssa"},"data":{"one":"MQ=="}}
409 {"details":{"causes":[{"reason":"FieldManagerConflict","field":".data.one"}]}}
1.36: admin APPLY secrets/ssa?fieldManager=hand2 +{"data":{"one":"aGFuZA=="}}
200 {"metadata":{"name":"ssa"}}
admin APPLY secrets/ssa +{"metadata":{"name":"ssa"},"data":{"one":"MQ=="}}
422 {"details":{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","field":"fieldManager"}]}}
admin APPLY secrets/ssa?fieldManager=alpha {"data":{"one":"MQ=="}}
400 {"reason":"BadRequest"}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"other"}}
400 {"reason":"BadRequest"}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa","managedFields":[]}}
400 {"reason":"BadRequest","message":"metadata.managedFields must be nil"}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"bogus":1}
500 {"reason":null}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"data":{"k":"***"}}
500 {"reason":null}
admin APPLY secrets/ssa?fieldManager=alpha +{"metadata":{"name":"ssa"},"data":"PLAIN"}
500 {"reason":null}
"#).await;
}

#[tokio::test]
async fn an_apply_can_be_of_one_state_and_never_a_creation() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a","resourceVersion":"1"},"data":{"k":"MQ=="}}
201 {"data":{"k":"MQ=="}}
= uid /metadata/uid
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a","resourceVersion":"1"},"data":{"k":"Mg=="}}
409 {"reason":"Conflict","details":{"name":"a","kind":"secrets"}}
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a","uid":"$uid"},"data":{"k":"Mg=="}}
200 {"data":{"k":"Mg=="}}
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a","uid":"5b0a2d2c-0000-0000-0000-000000000000"},"data":{"k":"Mg=="}}
422 {"reason":"Invalid","details":{"name":"a","kind":"Secret"}}
admin APPLY secrets/none?fieldManager=alpha +{"metadata":{"name":"none","uid":"5b0a2d2c-0000-0000-0000-000000000000"},"data":{"k":"Mg=="}}
409 {"reason":"Conflict","details":{"name":"none","kind":"secrets"}}
"#).await;
}

#[tokio::test]
async fn an_apply_of_text_leaves_behind_what_it_leaves_out() {
    let mut peers = Peers::start().await;
    peers
        .talk(
            r#"
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a"},"stringData":{"p":"1","q":"2"}}
201 {"data":{"p":"MQ==","q":"Mg=="},"stringData":null}
admin APPLY secrets/a?fieldManager=alpha +{"metadata":{"name":"a"},"stringData":{"p":"1"}}
200 {"data":{"p":"MQ==","q":"Mg=="}}
"#,
        )
        .await;
}
