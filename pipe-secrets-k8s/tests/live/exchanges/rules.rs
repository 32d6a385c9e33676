//! What is refused as invalid.

use super::peers::Peers;

#[tokio::test]
async fn names_and_keys_have_rules() {
    let mut peers = Peers::start().await;
    let long = "a".repeat(254);
    for name in ["Upper", "under_score", "-lead", "trail-", "a..b", "sla/sh", &long] {
        let cause = r#"{"reason":"FieldValueInvalid","field":"metadata.name"}"#;
        let answer = format!(
            r#"422 {{"reason":"Invalid","details":{{"name":"{name}","kind":"Secret","causes":[{cause}]}}}}"#
        );
        peers
            .talk(&format!(
                "admin POST secrets +{{\"metadata\":{{\"name\":\"{name}\"}}}}\n{answer}"
            ))
            .await;
    }
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":""}}
422 {"reason":"Invalid","details":{"name":null,"kind":"Secret","causes":[{"reason":"FieldValueRequired","field":"metadata.name"}]}}
"#).await;
    let fitting = "k".repeat(253);
    for key in ["A_b-c.D", ".hidden", "-", "_", "0", &fitting] {
        let body = format!(r#"+{{"metadata":{{"name":"keys"}},"data":{{"{key}":"MQ=="}}}}"#);
        peers.talk(&format!("admin POST secrets?dryRun=All {body}\n201")).await;
    }
    for key in ["a b", "a/b", "", "..", ".", "..x", "...", "..-", "é", "a=b", "a:b", &long] {
        let body = format!(r#"+{{"metadata":{{"name":"keys"}},"data":{{"{key}":"MQ=="}}}}"#);
        let cause = format!(r#"{{"reason":"FieldValueInvalid","field":"data[{key}]"}}"#);
        let answer = format!(r#"422 {{"reason":"Invalid","details":{{"causes":[{cause}]}}}}"#);
        peers.talk(&format!("admin POST secrets?dryRun=All {body}\n{answer}")).await;
    }
}

#[tokio::test]
async fn values_have_limits() {
    let mut peers = Peers::start().await;
    let encoded = |bytes: usize| {
        let mut text = "AAAA".repeat(bytes / 3);
        text += ["", "AA==", "AAA="][bytes % 3];
        text
    };
    let (most, more) = (encoded(1 << 20), encoded((1 << 20) + 1));
    let too_long = r#"422 {"reason":"Invalid","message":"*","details":{"kind":"Secret","causes":[{"reason":"FieldValueTooLong","field":"data"}]}}"#;
    let create = |data: String| {
        format!(
            r#"admin POST secrets?dryRun=All +{{"metadata":{{"name":"big"}},"data":{{{data}}}}}"#
        )
    };
    peers.talk(&format!("{}\n201", create(format!(r#""k":"{most}""#)))).await;
    peers.talk(&format!("{}\n{too_long}", create(format!(r#""k":"{more}""#)))).await;
    let two = format!(r#""k":"{}","l":"{}""#, encoded(1 << 19), encoded((1 << 19) + 1));
    peers.talk(&format!("{}\n{too_long}", create(two))).await;
    let apply = format!(
        r#"admin APPLY secrets/big?fieldManager=t +{{"metadata":{{"name":"big"}},"data":{{"k":"{more}"}}}}"#
    );
    peers.talk(&format!("{apply}\n{too_long}")).await;
    let body = "x".repeat(3 << 20);
    let create = format!(r#"admin POST secrets +{{"metadata":{{"name":"{body}"}}}}"#);
    let refusal = r#"413 {"reason":"RequestEntityTooLarge","code":413}"#;
    peers.talk(&format!("{create}\n{refusal}")).await;
    let note = "n".repeat(256 << 10);
    let metadata = format!(r#"{{"name":"lab","annotations":{{"a":"{note}"}}}}"#);
    let cause = r#"{"reason":"FieldValueTooLong","field":"metadata.annotations"}"#;
    let refusal = format!(r#"422 {{"details":{{"causes":[{cause}]}}}}"#);
    peers.talk(&format!(r#"admin POST secrets +{{"metadata":{metadata}}}{}{refusal}"#, "\n")).await;
}

#[tokio::test]
async fn metadata_has_rules() {
    let mut peers = Peers::start().await;
    let label = "v".repeat(64);
    peers.talk(&format!(r#"
admin POST secrets +{{"metadata":{{"name":"lab","labels":{{"l":"bad value!"}}}}}}
422 {{"details":{{"name":"lab","kind":"Secret","causes":[{{"reason":"FieldValueInvalid","field":"metadata.labels"}}]}}}}
admin POST secrets +{{"metadata":{{"name":"lab","labels":{{"l":"{label}"}}}}}}
422 {{"details":{{"causes":[{{"reason":"FieldValueInvalid","field":"metadata.labels"}}]}}}}
admin POST secrets +{{"metadata":{{"name":"lab","annotations":{{"Bad Key!":"x"}}}}}}
422 {{"details":{{"causes":[{{"reason":"FieldValueInvalid","field":"metadata.annotations"}}]}}}}
admin POST secrets +{{"metadata":{{"name":"fin","finalizers":["nodomain"]}}}}
422 {{"details":{{"causes":[{{"reason":"FieldValueInvalid","field":"metadata.finalizers[0]"}}]}}}}
"#)).await;
}

#[tokio::test]
async fn types_have_their_keys() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"tls"},"type":"kubernetes.io/tls"}
422 {"message":"Secret \"tls\" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]","details":{"causes":[{"reason":"FieldValueRequired","field":"data[tls.crt]"},{"reason":"FieldValueRequired","field":"data[tls.key]"}]}}
admin POST secrets +{"metadata":{"name":"dcj"},"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":"ew=="}}
422 {"message":"Secret \"dcj\" is invalid: data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": unexpected end of JSON input","details":{"causes":[{"reason":"FieldValueInvalid","field":"data[.dockerconfigjson]"}]}}
1.36: admin POST secrets +{"metadata":{"name":"ba"},"type":"kubernetes.io/basic-auth"}
422 {"details":{"causes":[{"reason":"FieldValueRequired","field":"data[username]"},{"reason":"FieldValueRequired","field":"data[password]"}]}}
admin POST secrets?dryRun=All +{"metadata":{"name":"ba"},"type":"kubernetes.io/basic-auth","data":{"password":"MQ=="}}
201 {"type":"kubernetes.io/basic-auth"}
1.36: admin POST secrets +{"metadata":{"name":"ssh"},"type":"kubernetes.io/ssh-auth"}
422 {"details":{"causes":[{"reason":"FieldValueRequired","field":"data[ssh-privatekey]"}]}}
1.36: admin POST secrets +{"metadata":{"name":"sat"},"type":"kubernetes.io/service-account-token"}
422 {"details":{"causes":[{"reason":"FieldValueRequired","field":"metadata.annotations[kubernetes.io/service-account.name]"}]}}
admin POST secrets +{"metadata":{"name":"own"},"type":"example.com/thing"}
201 {"type":"example.com/thing"}
admin PUT secrets/own +{"metadata":{"name":"own"}}
422 {"details":{"name":"own","kind":"Secret","causes":[{"reason":"FieldValueInvalid","field":"type"}]}}
"#).await;
}

#[tokio::test]
async fn immutable_secrets_keep_their_data() {
    let mut peers = Peers::start().await;
    peers.talk(r#"
admin POST secrets +{"metadata":{"name":"imm"},"immutable":true,"data":{"k":"dg=="}}
201 {"immutable":true}
admin PUT secrets/imm +{"metadata":{"name":"imm"},"immutable":true,"data":{"k":"dw=="}}
422 {"message":"Secret \"imm\" is invalid: data: Forbidden: field is immutable when `immutable` is set","details":{"name":"imm","kind":"Secret","causes":[{"reason":"FieldValueForbidden","field":"data"}]}}
admin PUT secrets/imm +{"metadata":{"name":"imm"},"data":{"k":"dg=="}}
422 {"details":{"causes":[{"reason":"FieldValueForbidden","field":"immutable"}]}}
admin PUT secrets/imm +{"metadata":{"name":"imm"},"data":{"k":"dw=="}}
422 {"details":{"causes":[{"reason":"FieldValueForbidden","field":"immutable"},{"reason":"FieldValueForbidden","field":"data"}]}}
admin APPLY secrets/imm?fieldManager=t&force=true +{"metadata":{"name":"imm"},"data":{"k":"dw=="}}
422 {"details":{"causes":[{"reason":"FieldValueForbidden","field":"data"}]}}
admin MERGE secrets/imm {"metadata":{"labels":{"l":"1"}}}
200 {"metadata":{"labels":{"l":"1"}},"data":{"k":"dg=="}}
admin DELETE secrets/imm
200 {"status":"Success"}
"#).await;
}
