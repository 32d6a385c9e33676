//! The archive by which a ready graph is imported, with no language model (COGX 0.1).

use std::collections::{BTreeMap, BTreeSet};

use pipe_core::memory::{DataPoint, DataPointId, DataPointKind, Relation};
use pipe_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use uuid::Uuid;

/// Types of nodes are classes in the server: this prefix keeps ours apart from its own, whose fields
/// would replace ours.
const TYPE_PREFIX: &str = "Pipe";
/// The type of the node that stands for a kind. No kind has `_` in its name.
const KIND_TYPE: &str = "Pipe_Kind";
/// The edge from each data point to its kind, whose text is the data point's. A search finds edges,
/// and so finds it; a data point without an edge would not be found at all. It also finds the texts
/// of nodes, but only until the server is restarted, when it forgets what it learnt of our types.
pub(crate) const DESCRIBES: &str = "is_described_as";
/// The property that holds a data point as it is.
pub(crate) const WHOLE: &str = "text";

/// What goes into one archive.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    pub(crate) points: BTreeMap<DataPointId, &'a DataPoint>,
    pub(crate) relations: BTreeSet<&'a Relation>,
}

impl Batch<'_> {
    /// How many nodes and edges the server has to report.
    pub(crate) fn size(&self) -> (usize, usize) {
        let nodes = self.points.len() + self.kinds().len();
        (nodes, self.points.len() + self.relations.len())
    }

    fn kinds(&self) -> BTreeSet<DataPointKind> {
        self.points.values().map(|point| point.kind()).collect()
    }

    /// The archive: a tar file with a manifest, the nodes and the edges.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let manifest = json!({"cogx_version": "0.1", "source_system": "pipe"}).to_string();
        let kinds = self.kinds();
        let mut nodes = Lines::default();
        let mut facts = Lines::default();
        for kind in &kinds {
            nodes.push(&kind_node(kind));
        }
        for (id, point) in &self.points {
            nodes.push(&node(*id, point)?);
            let kind = kind_id(&point.kind()).to_string();
            facts.push(&fact(&id.to_string(), DESCRIBES, &kind, &point.text()));
        }
        for relation in &self.relations {
            let name = |id| self.points.get(id).map_or("", |point| point.key().as_str());
            let (from, to) = (name(&relation.from), name(&relation.to));
            let text = format!("{from} {} {to}", relation.name.replace('_', " "));
            let (from, to) = (relation.from.to_string(), relation.to.to_string());
            facts.push(&fact(&from, &relation.name, &to, &text));
        }
        let mut archive = tar::Builder::new(Vec::new());
        let files = [
            ("manifest.json", manifest.as_bytes()),
            ("nodes.jsonl", nodes.0.as_bytes()),
            ("facts.jsonl", facts.0.as_bytes()),
        ];
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            archive.append_data(&mut header, name, content).map_err(|_| unwritable())?;
        }
        archive.into_inner().map_err(|_| unwritable())
    }
}

/// The data point that a node's property holds; `None` when it holds something else.
pub(crate) fn data_point(text: &str) -> Option<DataPoint> {
    serde_json::from_str(text).ok()
}

/// Whether a node of this type is a data point of ours.
pub(crate) fn is_ours(node_type: &str) -> bool {
    node_type.starts_with(TYPE_PREFIX) && node_type != KIND_TYPE
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: &Value) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

fn node(id: DataPointId, point: &DataPoint) -> Result<Value> {
    let whole = serde_json::to_string(point).map_err(|_| unwritable())?;
    let mut node = json!({
        "id": id.to_string(),
        "type": format!("{TYPE_PREFIX}{}", point.kind()),
        "name": point.key().as_str(),
        "description": point.text(),
        WHOLE: whole,
        "metadata": {"index_fields": ["description"]},
    });
    if let Some(past) = point.as_integration() {
        // For people who look at the graph, and for their own queries.
        node["source_domain"] = past.source.as_str().into();
        node["target_domain"] = past.target.as_str().into();
        node["path"] = past.path.as_str().into();
        node["status"] = past.status.as_str().into();
    }
    Ok(node)
}

/// It is indexed too: the server looks at edges of which an end was found, and all of ours end here.
fn kind_node(kind: &DataPointKind) -> Value {
    json!({
        "id": kind_id(kind).to_string(),
        "type": KIND_TYPE,
        "name": kind.as_str(),
        "description": kind.as_str(),
        "metadata": {"index_fields": ["description"]},
    })
}

/// No data point has this id, because `_` begins no kind.
fn kind_id(kind: &DataPointKind) -> Uuid {
    let name = format!("urn:pipe:governance-memory:_kind/{kind}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
}

fn fact(from: &str, name: &str, to: &str, text: &str) -> Value {
    json!({
        "kind": "fact",
        "external_system": "pipe",
        "external_id": format!("{from}/{name}/{to}"),
        "subject_ref": from,
        "predicate": name,
        "object_ref": to,
        "fact_text": text,
    })
}

fn unwritable() -> Error {
    Error::new(ErrorKind::InvalidArgument, "a data point cannot be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    use pipe_core::memory::{Domain, MemoryKey};

    #[test]
    fn a_data_point_is_read_from_the_node_that_it_became() {
        let point = DataPoint::from(Domain::new(MemoryKey::new("payments").unwrap()));
        let node = node(point.id(), &point).unwrap();
        assert!(is_ours(node["type"].as_str().unwrap()));
        assert_eq!(data_point(node[WHOLE].as_str().unwrap()), Some(point));
        assert!(!is_ours(KIND_TYPE) && !is_ours("Entity"));
    }
}
