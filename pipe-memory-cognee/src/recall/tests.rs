//! Answers of a real server of version 1.6.5, measured, without what is not read.

use super::*;

use crate::documents::stem;

const CHUNK: &str = "e61fbc1d-0cb8-5f38-ae4b-57c6430d7077";

fn piece(dataset: &str) -> Value {
    let name = stem(dataset, &MemoryKey::new("minutes/1").unwrap());
    json!({
        "id": CHUNK, "type": "IndexSchema", "belongs_to_set": [], "text": "by the Hub",
        "document_id": "cb8b281e-982a-4e5b-bdcc-0db66681b196", "document_name": name, "chunk_index": 3,
        "external_metadata": "{}", "score": 0.25,
    })
}

fn row(dataset: &str) -> Value {
    json!({
        "kind": "chunk", "search_type": "CHUNKS", "text": "by the Hub", "score": 0.25,
        "dataset_name": "governance-texts", "metadata": {"chunk_id": CHUNK, "chunk_index": 3},
        "raw": piece(dataset), "structured": null, "source": "graph",
    })
}

fn hits(answer: &Value) -> Option<Vec<TextHit>> {
    let hits = rows(answer)?.into_iter().map(|row| hit(row, "governance-texts"));
    Some(hits.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

#[test]
fn all_shapes_of_an_answer_say_the_same() {
    let expected = TextHit {
        text: "by the Hub".to_owned(),
        similarity: Some(0.75),
        provenance: Provenance {
            document: MemoryKey::new("minutes/1").unwrap(),
            dataset: "governance-texts".to_owned(),
            chunk: DataPointId::parse(CHUNK).unwrap(),
            index: 3,
        },
        source: Source::Cognee,
    };
    let ours = piece("governance-texts");
    let table = [
        ("recall", json!([row("governance-texts")])),
        ("search with access control", json!([{"dataset_id": "d", "search_result": [ours]}])),
        ("search without access control", json!([ours])),
    ];
    for (shape, answer) in table {
        assert_eq!(hits(&answer), Some(vec![expected.clone()]), "{shape}");
    }
}

#[test]
fn a_text_of_another_dataset_is_left_out() {
    let mut foreign = row("governance-texts");
    foreign["raw"]["document_name"] = "m1".into();
    assert_eq!(hits(&json!([row("other-texts"), foreign])), Some(Vec::new()));
}

#[test]
fn a_score_that_is_missing_is_not_made_up() {
    let mut row = row("governance-texts");
    row["score"] = Value::Null;
    assert_eq!(hits(&json!([row])).unwrap()[0].similarity, None);
}

#[test]
fn what_is_no_row_is_no_answer() {
    let mut odd = row("governance-texts");
    odd["raw"]["id"] = "not an id".into();
    for answer in [json!({"success": []}), json!([{"success": 1}]), json!([odd])] {
        assert_eq!(hits(&answer), None, "{answer}");
    }
}
