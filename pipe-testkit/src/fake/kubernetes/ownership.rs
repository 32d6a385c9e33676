//! Who owns which field: server-side apply, and what other writes do to it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::object::{Content, Managed, Path};
use super::status::{Reply, status};

/// What an object becomes when a manager applies this: its content and its owners.
pub(super) fn apply(
    live: &Content,
    managed: &[Managed],
    applied: &Content,
    manager: &str,
    force: bool,
    now: SystemTime,
) -> Result<(Content, Vec<Managed>), Reply> {
    let (wanted, present) = (applied.fields(), live.fields());
    let is_own = |m: &Managed| m.operation == "Apply" && m.manager == manager;
    let mut managed = managed.to_vec();
    let mut conflicts = Vec::new();
    for (path, _) in wanted.iter().filter(|(path, value)| present.get(*path) != Some(*value)) {
        for other in managed.iter().filter(|m| !is_own(m) && m.fields.contains(path)) {
            conflicts.push((path.clone(), other.manager.clone(), other.operation));
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    for (path, _, _) in &conflicts {
        for other in managed.iter_mut().filter(|m| !is_own(m)) {
            other.fields.remove(path);
        }
    }
    let fields: BTreeSet<Path> = wanted.keys().cloned().collect();
    let place = managed.iter().position(is_own);
    let before = place.map(|at| managed.remove(at));
    let mut content = live.clone();
    // What was ours alone and is left out goes.
    for path in before.iter().flat_map(|before| before.fields.difference(&fields)) {
        if !managed.iter().any(|other| other.fields.contains(path)) {
            content.take(path, &Content::default());
        }
    }
    for path in &fields {
        content.take(path, applied);
    }
    managed.retain(|m| !m.fields.is_empty());
    let kept = before.filter(|before| before.fields == fields).map(|before| before.time);
    let time = kept.unwrap_or(now);
    let place = place.map_or(managed.len(), |at| at.min(managed.len()));
    let operation = "Apply";
    managed.insert(place, Managed { manager: manager.to_owned(), operation, time, fields });
    Ok((content, managed))
}

/// Who owns what when a manager replaces the content: whatever changed is its own from then on.
pub(super) fn update(
    live: &Content,
    managed: &[Managed],
    content: &Content,
    manager: &str,
    now: SystemTime,
) -> Vec<Managed> {
    let (before, after) = (live.fields(), content.fields());
    let changed: BTreeSet<Path> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(*value))
        .map(|(path, _)| path.clone())
        .collect();
    let mut managed = managed.to_vec();
    for entry in &mut managed {
        entry.fields.retain(|path| after.contains_key(path) && !changed.contains(path));
    }
    managed.retain(|m| !m.fields.is_empty());
    if changed.is_empty() {
        return managed;
    }
    let own = managed.iter().position(|m| m.operation == "Update" && m.manager == manager);
    match own {
        Some(at) => {
            managed[at].fields.extend(changed);
            managed[at].time = now;
        }
        None => managed.push(Managed {
            manager: manager.to_owned(),
            operation: "Update",
            time: now,
            fields: changed,
        }),
    }
    managed
}

fn conflict(conflicts: &[(Path, String, &str)]) -> Reply {
    let who = |manager: &str, operation: &str| match operation {
        "Update" => format!("{manager:?} using v1"),
        _ => format!("{manager:?}"),
    };
    let field = |path: &Path| format!(".{}", path.join("."));
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(path, manager, operation)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", who(manager, operation)),
                "field": field(path),
            })
        })
        .collect();
    let message = match conflicts {
        [(path, manager, operation)] => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            who(manager, operation),
            field(path)
        ),
        several => {
            let lines: Vec<_> = several.iter().map(|(p, ..)| format!("- {}", field(p))).collect();
            let (_, manager, operation) = &several[0];
            format!(
                "Apply failed with {} conflicts: conflicts with {}:\n{}",
                several.len(),
                who(manager, operation),
                lines.join("\n")
            )
        }
    };
    // Neither the name nor the kind is told.
    status(409, "Conflict", &message, json!({"causes": causes}))
}
