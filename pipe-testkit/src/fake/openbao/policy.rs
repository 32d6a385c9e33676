//! Policies: which paths a token may use, and how the rule for a path is found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The rules of one policy: patterns without a leading slash, from the root namespace on.
pub(super) type Policy = Vec<(String, Capabilities)>;

pub(super) type Capabilities = BTreeSet<&'static str>;

const KNOWN: [&str; 9] =
    ["create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny"];

/// A policy from what a test says of it.
pub(super) fn policy(namespace: &str, rules: &[(&str, &[&str])]) -> Policy {
    let known = |name: &&str| {
        let known = KNOWN.iter().find(|known| *known == name);
        *known.unwrap_or_else(|| panic!("there is no capability {name:?}"))
    };
    let rule = |(pattern, capabilities): &(&str, &[&str])| {
        let pattern = format!("{namespace}{}", pattern.trim_start_matches('/'));
        (pattern, capabilities.iter().map(known).collect())
    };
    rules.iter().map(rule).collect()
}

/// What every token may do unless it asks not to: look at, renew and revoke itself.
pub(super) fn default_policy(namespace: &str) -> Policy {
    policy(
        namespace,
        &[
            ("auth/token/lookup-self", &["read"]),
            ("auth/token/renew-self", &["update"]),
            ("auth/token/revoke-self", &["update"]),
        ],
    )
}

/// What a token may do: its policies together.
#[derive(Debug, Default)]
pub(super) struct Acl {
    /// Everything.
    pub(super) root: bool,
    rules: BTreeMap<String, Capabilities>,
}

impl Acl {
    /// Adds a policy's rules; capabilities for the same pattern add up, and `deny` wins.
    pub(super) fn add(&mut self, policy: &Policy) {
        for (pattern, capabilities) in policy {
            let rule = self.rules.entry(pattern.clone()).or_default();
            rule.extend(capabilities);
        }
    }

    /// Whether the rule for this path grants the capability. No rule grants nothing.
    pub(super) fn allows(&self, path: &str, capability: &str) -> bool {
        if self.root {
            return true;
        }
        // A listing's path ends in a slash, and a rule without it counts as well.
        let directory = match capability {
            "list" | "scan" => path.strip_suffix('/'),
            _ => None,
        };
        let exact = |path: &str| self.rules.get(path);
        let rule = exact(path)
            .or_else(|| directory.and_then(exact))
            .or_else(|| self.best_pattern(path))
            .or_else(|| directory.and_then(|path| self.best_pattern(path)));
        rule.is_some_and(|rule| rule.contains(capability) && !rule.contains("deny"))
    }

    /// Whether any rule grants anything at or below this mount (`team1/secret`).
    pub(super) fn touches(&self, mount: &str) -> bool {
        let grants = |rule: &Capabilities| !rule.contains("deny") && !rule.is_empty();
        let inside = |pattern: &str| {
            let mut parts = pattern.split('/');
            mount.split('/').all(|of_mount| {
                parts.next().is_some_and(|part| part == "+" || part == "*" || part == of_mount)
            })
        };
        self.root || self.rules.iter().any(|(pattern, rule)| grants(rule) && inside(pattern))
    }

    /// The most specific pattern with a `+` or a final `*`, by the documented order of priority.
    fn best_pattern(&self, path: &str) -> Option<&Capabilities> {
        let matching = self.rules.iter().filter_map(|(pattern, capabilities)| {
            let prefix = pattern.strip_suffix('*');
            let fixed = prefix.unwrap_or(pattern);
            let wildcards = fixed.split('/').filter(|part| *part == "+").count();
            if (wildcards == 0 && prefix.is_none()) || !matches(fixed, prefix.is_some(), path) {
                return None;
            }
            let first_wildcard = fixed.find('+').unwrap_or(fixed.len());
            let priority =
                (first_wildcard, prefix.is_none(), Reverse(wildcards), fixed.len(), fixed);
            Some((priority, capabilities))
        });
        let best = matching.max_by(|(a, _), (b, _)| a.cmp(b));
        best.map(|(_, capabilities)| capabilities)
    }
}

fn matches(pattern: &str, is_prefix: bool, path: &str) -> bool {
    let pattern = pattern.split('/').collect::<Vec<_>>();
    let path = path.split('/').collect::<Vec<_>>();
    let (last, before) = pattern.split_last().expect("a split has a part");
    if path.len() < pattern.len() || (!is_prefix && path.len() > pattern.len()) {
        return false;
    }
    let fits = |(part, of_path): (&&str, &&str)| *part == "+" || part == of_path;
    before.iter().zip(&path).all(fits)
        && (fits((last, &path[before.len()]))
            || (is_prefix && path[before.len()].starts_with(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rules: &[(&str, &[&str])], path: &str, capability: &str) -> bool {
        let mut acl = Acl::default();
        acl.add(&policy("", rules));
        acl.allows(path, capability)
    }

    #[test]
    fn what_no_rule_names_is_denied() {
        assert!(!allows(&[], "secret/data/a", "read"));
        assert!(!allows(&[("secret/data/a/*", &["read"])], "secret/data/a", "read"));
    }

    #[test]
    fn the_more_specific_rule_decides_alone() {
        let rules: &[(&str, &[&str])] = &[("a/l/*", &["read"]), ("a/l*", &["update", "read"])];
        assert!(!allows(rules, "a/l/c", "update"));
        let rules: &[(&str, &[&str])] = &[("a/l/+", &["read"]), ("a/l/*", &["update"])];
        assert!(allows(rules, "a/l/c", "read") && !allows(rules, "a/l/c", "update"));
        let rules: &[(&str, &[&str])] = &[("a/+/c", &["read"]), ("a/l*", &["update"])];
        assert!(!allows(rules, "a/l/c", "read") && allows(rules, "a/l/c", "update"));
    }

    #[test]
    fn rules_for_the_same_pattern_add_up_and_deny_wins() {
        let rules: &[(&str, &[&str])] = &[("a/c", &["read"]), ("a/c", &["update"])];
        assert!(allows(rules, "a/c", "read") && allows(rules, "a/c", "update"));
        let rules: &[(&str, &[&str])] = &[("a/c*", &["deny"]), ("a/c*", &["read"])];
        assert!(!allows(rules, "a/c", "read"));
    }

    #[test]
    fn a_plus_is_one_segment() {
        assert!(allows(&[("+/data/l/c", &["read"])], "secret/data/l/c", "read"));
        assert!(!allows(&[("a/+/x", &["read"])], "a/b/c/x", "read"));
        assert!(allows(&[("a/+/s*", &["read"])], "a/b/sub/x", "read"));
        assert!(!allows(&[("a/+/*", &["read"])], "a/b", "read"));
    }

    #[test]
    fn a_listing_is_granted_with_or_without_the_final_slash() {
        for pattern in ["m/l", "m/l/", "m/+/", "m/l/+", "m/*"] {
            assert!(allows(&[(pattern, &["list"])], "m/l/", "list"), "{pattern}");
        }
        assert!(allows(&[("m/l/+", &["list"])], "m/l/sub/", "list"));
        assert!(!allows(&[("m/+/", &["list"])], "m/l/sub/", "list"));
    }
}
