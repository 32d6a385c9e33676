//! What a search answers: edges with their ends, in one of two shapes.

use std::collections::BTreeMap;

use pipe_core::memory::{DataPoint, DataPointId};
use serde_json::Value;

use crate::archive::{DESCRIBES, WHOLE, data_point, is_ours};

/// What was found, and how many edges the answer had.
pub(crate) struct Context {
    /// How similar each is: more than 0.
    pub(crate) found: Vec<(DataPoint, f64)>,
    pub(crate) edges: usize,
}

/// Reads an answer. `None` when it is not in the form that a search answers in.
pub(crate) fn read(answer: &Value) -> Option<Context> {
    let mut found = BTreeMap::<DataPointId, (DataPoint, f64)>::new();
    let edges = edges(answer)?;
    for edge in &edges {
        let attributes = &edge["attributes"];
        let described = attributes["relationship_name"].as_str() == Some(DESCRIBES);
        let by_edge = if described { similarity(attributes) } else { 0.0 };
        for (end, by_edge) in [("node1", by_edge), ("node2", 0.0)] {
            let node = &edge[end]["node_attributes"];
            if !node["type"].as_str().is_some_and(is_ours) {
                continue;
            }
            let similarity = similarity(node).max(by_edge);
            let Some(point) = node[WHOLE].as_str().and_then(data_point) else { continue };
            let entry = found.entry(point.id()).or_insert((point, 0.0));
            entry.1 = entry.1.max(similarity);
        }
    }
    let mut found: Vec<_> =
        found.into_values().filter(|(_, similarity)| *similarity > 0.0).collect();
    found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    Some(Context { found, edges: edges.len() })
}

/// With access control, the edges of each dataset are in an object of its own; without, they come as
/// they are.
fn edges(answer: &Value) -> Option<Vec<&Value>> {
    let mut edges = Vec::new();
    for item in answer.as_array()? {
        match (item.get("objects_result"), item.get("search_result"), item.get("node1")) {
            (Some(Value::Array(found)), _, _) => edges.extend(found),
            (Some(_), _, _) => {}
            (None, Some(inner), _) => edges.extend(self::edges(inner)?),
            (None, None, Some(_)) => edges.push(item),
            // Texts, for instance, as a language model gives them. That is not nothing.
            (None, None, None) => return None,
        }
    }
    Some(edges)
}

/// 1 − the distance. The server says 1 or more where it knows of none.
fn similarity(attributes: &Value) -> f64 {
    let distance = match &attributes["vector_distance"] {
        Value::Array(distances) => distances.first().and_then(Value::as_f64),
        distance => distance.as_f64(),
    };
    distance.map_or(0.0, |distance| (1.0 - distance).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A server that asks its language model all the same answers so, and one of another version may.
    #[test]
    fn what_is_no_list_of_edges_is_not_nothing() {
        let with_texts = json!([{"dataset_id": "d", "search_result": ["an answer"]}]);
        for answer in [json!(["an answer"]), with_texts, json!([{"edges": []}]), json!({})] {
            assert!(read(&answer).is_none(), "{answer}");
        }
        let nothing = json!([{"dataset_id": "d", "objects_result": []}]);
        for answer in [json!([]), nothing, json!([{"objects_result": null}])] {
            assert!(read(&answer).is_some_and(|context| context.found.is_empty()), "{answer}");
        }
    }
}
