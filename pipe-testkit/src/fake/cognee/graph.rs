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

#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<String, Value>,
    /// From, name and to; and the text.
    edges: BTreeMap<(String, String, String), String>,
}

/// How far away what was not found is.
const NOT_FOUND: f64 = 1.0;
/// How far away is what was not compared: it was not among the nearest, or it is a node of a type that
/// the server does not know since it was restarted.
const NOT_COMPARED: f64 = 6.5;
/// How many texts of a kind are compared.
const COMPARED: usize = 100;

impl Graph {
    pub(super) fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.edges.len())
    }

    /// Adds all of another graph.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.nodes.extend(other.nodes.clone());
        self.edges.extend(other.edges.clone());
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

    /// The edges that are nearest, with their ends. Only the nearest texts of a kind are compared,
    /// however many edges are asked for.
    pub(super) fn search(&self, query: &str, top_k: usize, knows_types: bool) -> Vec<Value> {
        let query = words(query);
        let text_of = |node: &Value| node["description"].as_str().unwrap_or_default().to_owned();
        let nodes = compared(&query, self.nodes.iter().map(|(id, node)| (id, text_of(node))));
        let texts = self.edges.iter().map(|(edge, text)| (edge, text.clone()));
        let texts = compared(&query, texts);
        let of_node = |id: &String| {
            let node = &self.nodes[id];
            let near = nodes.get(id).filter(|_| knows_types).copied().unwrap_or(NOT_COMPARED);
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
            .map(|(edge, text)| {
                let (from, name, to) = edge;
                let near = texts.get(edge).copied().unwrap_or(NOT_COMPARED);
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

/// How far away the nearest of these are.
fn compared<'a, K: Ord>(
    query: &BTreeSet<String>,
    texts: impl Iterator<Item = (&'a K, String)>,
) -> BTreeMap<&'a K, f64> {
    let mut near: Vec<_> = texts.map(|(key, text)| (distance(query, &text), key)).collect();
    near.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    near.into_iter().take(COMPARED).map(|(distance, key)| (key, distance)).collect()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// How far away a text is from a query.
pub(super) fn distance_of(query: &str, text: &str) -> f64 {
    distance(&words(query), text)
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
