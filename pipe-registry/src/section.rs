//! The sections of a document and their entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decorators::Check;
use crate::document::Node;
use crate::kind::{Kinds, Where, join, read, refused};
use crate::plugins::DEFAULT;
use crate::words::list;
use crate::{Fault, Faults};

const SECTIONS: [&str; 5] = ["development", "identity", "login", "memory", "secrets"];
const ENTRY: [&str; 3] = ["kind", "settings", "decorators"];

/// A document while it is read: what is wrong is collected, and reading goes on.
pub(crate) struct Document<'a> {
    root: &'a Node,
    development: bool,
    faults: Vec<Fault>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(root: &'a Node) -> Self {
        let mut document = Self { root, development: false, faults: Vec::new() };
        // An empty YAML document is nothing, and an empty TOML document a table.
        if root.table().is_none() && *root != Node::Null {
            document.fault("document", "expected a table");
        }
        document.only("document", root, &SECTIONS);
        match root.child("development") {
            None => {}
            Some(Node::Bool(development)) => document.development = *development,
            Some(_) => document.fault("development", "expected `true` or `false`"),
        }
        document
    }

    pub(crate) fn into_faults(self) -> Result<(), Faults> {
        Faults::new(self.faults)
    }

    /// The plugins of a section, by instance, decorated.
    pub(crate) fn section<P: ?Sized + 'static, D: Check>(
        &mut self,
        section: &'static str,
        kinds: &Kinds<P>,
        decorate: &dyn Fn(Arc<P>, &D) -> Arc<P>,
    ) -> BTreeMap<String, Arc<P>> {
        let mut plugins = BTreeMap::new();
        for (instance, place, entry) in self.entries(section) {
            if let Some(plugin) = self.entry(section, &place, entry, kinds, decorate) {
                plugins.insert(instance, plugin);
            }
        }
        plugins
    }

    /// The instances of a section with their places.
    fn entries(&mut self, section: &'static str) -> Vec<(String, String, &'a Node)> {
        let Some(node) = self.root.child(section) else { return Vec::new() };
        let Some(table) = node.table() else {
            self.fault(section, "expected a table");
            return Vec::new();
        };
        let is_entry = node.child("kind").is_some()
            || table.iter().any(|_| true)
                && table.iter().all(|(key, _)| ENTRY.contains(&key.as_str()));
        if is_entry {
            return vec![(DEFAULT.to_owned(), section.to_owned(), node)];
        }
        let mut entries = Vec::new();
        for (name, entry) in table {
            if is_instance_name(name) {
                entries.push((name.to_string(), join(section, name), entry));
            } else {
                self.fault(section, "the name of an instance is not 1 to 63 of a-z 0-9 - _");
            }
        }
        entries
    }

    fn entry<P: ?Sized + 'static, D: Check>(
        &mut self,
        section: &str,
        place: &str,
        entry: &Node,
        kinds: &Kinds<P>,
        decorate: &dyn Fn(Arc<P>, &D) -> Arc<P>,
    ) -> Option<Arc<P>> {
        let kind = self.kind(section, place, entry, kinds);
        let decorators = self.decorators::<D>(&join(place, "decorators"), entry);
        let nothing = Node::Table(Vec::new());
        let settings = entry.child("settings").unwrap_or(&nothing);
        let at = Where { place: &join(place, "settings"), development: self.development };
        let plugin = self.keep(kinds.get(kind?)?.make(settings, &at))?;
        Some(decorate(plugin, &decorators?))
    }

    /// The known kind of an entry.
    fn kind<'e, P: ?Sized>(
        &mut self,
        section: &str,
        place: &str,
        entry: &'e Node,
        kinds: &Kinds<P>,
    ) -> Option<&'e str> {
        if entry.table().is_none() {
            self.fault(place, "expected a table with `kind`");
            return None;
        }
        self.only(place, entry, &ENTRY);
        let fault = match entry.child("kind").map(Node::text) {
            None => "is missing",
            Some(None) => "expected text",
            Some(Some(kind)) if kinds.contains_key(kind) => return Some(kind),
            Some(Some(_)) => "is unknown",
        };
        let known = match kinds.len() {
            0 => format!("this version knows no kinds of {section}"),
            _ => format!("the known kinds are {}", list(kinds.keys())),
        };
        self.fault(&join(place, "kind"), format!("{fault}; {known}"));
        None
    }

    fn decorators<D: Check>(&mut self, place: &str, entry: &Node) -> Option<D> {
        let Some(node) = entry.child("decorators") else { return Some(D::default()) };
        let at = Where { place, development: self.development };
        let decorators: D = self.keep(read(node, &at))?;
        let faults = decorators.check();
        for (name, error) in &faults {
            for (setting, message) in refused(error) {
                self.fault(&join(&join(place, name), setting), message);
            }
        }
        faults.is_empty().then_some(decorators)
    }

    /// Refuses keys that are not known, without naming them: what stands in a wrong place may be a
    /// secret.
    fn only(&mut self, place: &str, node: &Node, known: &[&str]) {
        let mut keys = node.table().into_iter().flatten().map(|(key, _)| key.as_str());
        if keys.any(|key| !known.contains(&key)) {
            self.fault(place, format!("has an unknown key; the known ones are {}", list(known)));
        }
    }

    fn keep<T>(&mut self, result: Result<T, Vec<Fault>>) -> Option<T> {
        result.map_err(|faults| self.faults.extend(faults)).ok()
    }

    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(place, message));
    }
}

/// Names of instances are shown in faults, so that what is no name is not shown.
fn is_instance_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}
