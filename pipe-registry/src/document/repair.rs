//! All that is wrong with a node at once. Serde stops at the first problem: the problem is repaired
//! with a stand-in, and the rest is looked at.

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::decode::{Problem, What};
use super::node::Node;

/// More than a person corrects in one go.
const MOST_PROBLEMS: usize = 64;

/// Reads a node into a type, or tells all problems that do not come from one another.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, Vec<Problem>> {
    let first = match T::deserialize(node) {
        Ok(value) => return Ok(value),
        Err(problem) => problem,
    };
    let mut repair = Repair { node: node.clone(), patches: Vec::new(), problems: Vec::new() };
    let mut next = Some(first);
    for _ in 0..MOST_PROBLEMS {
        let Some(problem) = next else { break };
        if repair.repair::<T>(problem).is_none() {
            break;
        }
        next = T::deserialize(&repair.node).err();
    }
    Err(repair.problems)
}

struct Repair {
    node: Node,
    /// Where something of ours stands, or was taken away.
    patches: Vec<Vec<String>>,
    problems: Vec<Problem>,
}

impl Repair {
    /// Keeps the problem, unless it comes from an earlier repair, and puts something usable in its
    /// place; `None` when that cannot be done.
    fn repair<T: DeserializeOwned>(&mut self, problem: Problem) -> Option<()> {
        let path = problem.path.clone();
        if let Some(patch) = self.patches.iter().find(|patch| path.starts_with(patch)).cloned() {
            return self.remove(&patch);
        }
        match &problem.what {
            What::Missing(name) => {
                let field = below(&path, name);
                if self.patches.contains(&field) {
                    return self.stand_in(&path);
                }
                self.problems.push(problem.clone());
                let Node::Table(table) = self.node.at_mut(&path)? else {
                    return self.stand_in(&path);
                };
                table.push((Zeroizing::new(name.clone()), Node::Any));
                self.patches.push(field);
                Some(())
            }
            What::UnknownField { found, .. } => {
                self.problems.push(problem.clone());
                self.remove(&below(&path, found))
            }
            // A table that has something of ours in it may be faulty for that.
            _ if self.patches.iter().any(|patch| patch.starts_with(&path)) => self.stand_in(&path),
            _ => {
                let culprits = self.culprits::<T>(&problem);
                if culprits.is_empty() {
                    self.problems.push(problem);
                    return self.stand_in(&path);
                }
                for (key, usable, problem) in culprits {
                    let path = below(&path, &key);
                    *self.node.at_mut(&path)? = usable;
                    self.patches.push(path);
                    self.problems.push(problem);
                }
                Some(())
            }
        }
    }

    fn stand_in(&mut self, path: &[String]) -> Option<()> {
        if path.is_empty() {
            return None;
        }
        *self.node.at_mut(path)? = Node::Any;
        self.patches.push(path.to_vec());
        Some(())
    }

    fn remove(&mut self, path: &[String]) -> Option<()> {
        let (last, parent) = path.split_last()?;
        let Node::Table(table) = self.node.at_mut(parent)? else { return None };
        let before = table.len();
        table.retain(|(key, _)| key.as_str() != last);
        (table.len() < before).then_some(())
    }

    /// Which entries of a table its problem comes from: up to three whose replacement makes it
    /// sound. Serde reads a table whose form is told by one of its entries in one go (internally
    /// tagged enums do so), and its problems then have the table's path only.
    fn culprits<T: DeserializeOwned>(&self, problem: &Problem) -> Vec<(String, Node, Problem)> {
        let mut trial = self.node.clone();
        let table = trial.at_mut(&problem.path).and_then(|node| node.table().cloned());
        let Some(table) = table.filter(|table| table.len() <= 16) else { return Vec::new() };
        let keys: Vec<_> = table.iter().map(|(key, _)| key.as_str().to_owned()).collect();
        let search = Search { path: &problem.path, keys: &keys };
        let found = [Unknown::IsAFault, Unknown::IsAnotherMatter]
            .into_iter()
            .any(|unknown| (1..=3).any(|count| search.replace::<T>(&mut trial, 0, count, unknown)));
        if !found {
            return Vec::new();
        }
        let mut sound = trial;
        let mut culprits = Vec::new();
        for (key, original) in table {
            let path = below(&problem.path, &key);
            let Some(place) = sound.at_mut(&path) else { continue };
            if *place == original {
                continue;
            }
            let usable = std::mem::replace(place, original);
            // With the others replaced, what is left is this one's own problem.
            if let Err(own) = T::deserialize(&sound) {
                let problem = Problem { path: path.clone(), what: own.what };
                culprits.push((key.as_str().to_owned(), usable.clone(), problem));
            }
            if let Some(place) = sound.at_mut(&path) {
                *place = usable;
            }
        }
        culprits
    }
}

struct Search<'a> {
    path: &'a [String],
    keys: &'a [String],
}

/// What to make of an entry that the table should not have. Another value of the entry that tells
/// the form makes all others unknown, so at first it is a fault.
#[derive(Clone, Copy, PartialEq)]
enum Unknown {
    IsAFault,
    IsAnotherMatter,
}

impl Search<'_> {
    /// Replaces `count` entries, so that the table becomes sound; or changes nothing.
    fn replace<T: DeserializeOwned>(
        &self,
        trial: &mut Node,
        from: usize,
        count: usize,
        unknown: Unknown,
    ) -> bool {
        for (number, key) in self.keys.iter().enumerate().skip(from) {
            let path = below(self.path, key);
            let Some(original) = trial.at_mut(&path).cloned() else { continue };
            // What tells the form is text, and a number may stand for it.
            let only_text = unknown == Unknown::IsAnotherMatter && original.text().is_some();
            for usable in usables().into_iter().take(if only_text { 1 } else { 4 }) {
                let Some(place) = trial.at_mut(&path) else { continue };
                *place = usable;
                let is_sound = match count {
                    1 => self.is_sound::<T>(trial, unknown),
                    _ => self.replace::<T>(trial, number + 1, count - 1, unknown),
                };
                if is_sound {
                    return true;
                }
            }
            if let Some(place) = trial.at_mut(&path) {
                *place = original;
            }
        }
        false
    }

    /// A problem elsewhere, or an entry that is missing, is another matter.
    fn is_sound<T: DeserializeOwned>(&self, trial: &Node, unknown: Unknown) -> bool {
        let Err(problem) = T::deserialize(trial) else { return true };
        match &problem.what {
            What::Missing(_) => true,
            What::UnknownField { found, .. } if unknown == Unknown::IsAnotherMatter => {
                self.keys.contains(found)
            }
            _ => !problem.path.starts_with(self.path),
        }
    }
}

/// One of each type that settings usually have; the table is a secret's source.
fn usables() -> [Node; 4] {
    let text = |text: &str| Node::Text(Zeroizing::new(text.to_owned()));
    let source = vec![(Zeroizing::new("env".to_owned()), text("A"))];
    [text("a"), Node::Unsigned(1), Node::Bool(false), Node::Table(source)]
}

fn below(path: &[String], key: &str) -> Vec<String> {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

#[cfg(test)]
mod tests;
