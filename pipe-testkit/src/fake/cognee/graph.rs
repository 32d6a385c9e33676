//! A graph, and how near its texts are to a query.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What an import came to.
#[derive(Debug, Default)]
pub(super) struct Imported {
    pub(super) nodes: usize,
    pub(super) edges: usize,
    pub(super) skipped: usize,
    pub(super) doubled: usize,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<String, Value>,
    /// From, name and to; and the text.
    edges: BTreeMap<(String, String, String), String>,
}

/// How far away what was not found is.
const NOT_FOUND: f64 = 1.0;
/// How far away nodes of a type are that the server does not know since it was restarted.
const UNKNOWN_TYPE: f64 = 6.5;

impl Graph {
    pub(super) fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.edges.len())
    }

    /// Adds what an archive holds; `None` when the server would call it invalid. Of relations, only
    /// those whose ends are both in the same archive are taken.
    pub(super) fn import(&mut self, nodes: &[Value], facts: &[Value]) -> Option<Imported> {
        let mut imported = Imported::default();
        let mut here = BTreeSet::new();
        for node in nodes {
            let id = node["id"].as_str().filter(|id| is_uuid(id))?;
            node["type"].as_str()?;
            let indexed = node["metadata"]["index_fields"].as_array()?;
            // A field that is indexed has to be text.
            indexed.iter().try_for_each(|field| node[field.as_str()?].as_str().map(drop))?;
            here.insert(id);
            self.nodes.insert(id.to_owned(), node.clone());
        }
        imported.nodes = here.len();
        let mut seen = BTreeSet::new();
        for fact in facts {
            let text = |field: &str| fact[field].as_str().map(str::to_owned);
            let edge = (text("subject_ref")?, text("predicate")?, text("object_ref")?);
            if !here.contains(edge.0.as_str()) || !here.contains(edge.2.as_str()) {
                imported.skipped += 1;
            } else if seen.insert(edge.clone()) {
                imported.edges += 1;
                self.edges.insert(edge, text("fact_text").unwrap_or_default());
            } else {
                imported.doubled += 1;
            }
        }
        Some(imported)
    }

    /// The edges that are nearest, with their ends.
    pub(super) fn search(&self, query: &str, top_k: usize, knows_types: bool) -> Vec<Value> {
        let query = words(query);
        let of_node = |id: &str| {
            let node = &self.nodes[id];
            let text = node["description"].as_str().unwrap_or_default();
            let near = if knows_types { distance(&query, text) } else { UNKNOWN_TYPE };
            let shown = json!({
                "node_id": id,
                "node_attributes": {
                    "id": null,
                    "name": node["name"],
                    "type": node["type"],
                    "description": node["description"],
                    "text": node["text"],
                    "vector_distance": [near],
                },
            });
            (near, shown)
        };
        let mut edges: Vec<_> = self
            .edges
            .iter()
            .map(|((from, name, to), text)| {
                let near = distance(&query, text);
                let ((a, from), (b, to)) = (of_node(from), of_node(to));
                let edge = json!({
                    "node1": from,
                    "node2": to,
                    "attributes": {
                        "relationship_name": name,
                        "edge_text": text,
                        "vector_distance": [near],
                    },
                    "directed": true,
                    "status": [1],
                });
                (a + near + b, edge)
            })
            .collect();
        edges.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        edges.into_iter().take(top_k).map(|(_, edge)| edge).collect()
    }

    /// All of it, as the graph's route shows it.
    pub(super) fn whole(&self) -> Value {
        let node = |(id, node): (&String, &Value)| {
            let mut properties = node.clone();
            if let Some(properties) = properties.as_object_mut() {
                properties.retain(|name, _| !matches!(name.as_str(), "id" | "type" | "name"));
            }
            json!({"id": id, "label": node["name"], "type": node["type"], "properties": properties})
        };
        let edge = |(from, name, to): &(String, String, String)| json!({"source": from, "target": to, "label": name});
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "edges": self.edges.keys().map(edge).collect::<Vec<_>>(),
        })
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// 1 − the cosine of the two sets of words.
fn distance(query: &BTreeSet<String>, text: &str) -> f64 {
    let text = words(text);
    let common = query.intersection(&text).count() as f64;
    let lengths = (query.len() as f64 * text.len() as f64).sqrt();
    if lengths == 0.0 { NOT_FOUND } else { NOT_FOUND - common / lengths }
}
