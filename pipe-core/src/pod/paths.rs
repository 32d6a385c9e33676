//! Where a container may see a secret.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::invalid;
use crate::{Error, ErrorKind, Result};

/// An absolute path that shadows nothing a container needs.
pub(super) fn check_mount_path(path: &str) -> Result<()> {
    let relative = path.strip_prefix('/').unwrap_or_default();
    if path.contains(':') || !is_relative_path(relative) {
        return Err(invalid("not a path to mount at", "path", path).hint(
            "use an absolute path below / of up to 1024 printable ASCII characters, \
             without `..` and `:`",
        ));
    }
    // The path is written in one way now, and so are these: nothing has to be taken apart.
    let is_below = |path: &str, above: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let shadows = SYSTEM.contains(&path)
        || KERNEL.iter().any(|kernel| is_below(path, kernel))
        || SERVICE_ACCOUNT.iter().any(|own| is_below(path, own) || is_below(own, path));
    if shadows {
        return Err(invalid("the mount would hide what the container needs", "path", path).hint(
            "leave the path out, or use one of the secret's own, as /var/run/secrets/<app>",
        ));
    }
    Ok(())
}

/// The path of one key below its mount.
pub(super) fn check_item_path(path: &str) -> Result<()> {
    // Kubernetes' own rule: `..data` is the name by which the kubelet swaps all files at once.
    if is_relative_path(path) && !path.starts_with("..") {
        return Ok(());
    }
    Err(invalid("not a path below the mount", "path", path).hint(
        "use a relative path of up to 1024 printable ASCII characters, without empty, `.` or \
         `..` parts, that does not begin with `..`",
    ))
}

/// Refuses `path` when it is one of the `others`, lies below one or has one below itself: inside
/// a read-only volume no second mount point can be made, and a file cannot hold another.
pub(super) fn check_apart<'a>(
    what: &'static str,
    path: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    match others.into_iter().find(|other| overlap(path, other)) {
        None => Ok(()),
        Some(other) => Err(Error::new(ErrorKind::Conflict, "one path is or contains the other")
            .with(what, format_args!("{path:?}"))
            .with("other", format_args!("{other:?}"))
            .hint("use paths beside each other")),
    }
}

/// Mount paths of one container, each beside all others, and where in its list each is.
#[derive(Default)]
pub(super) struct MountPaths(BTreeMap<String, usize>);

impl MountPaths {
    /// Where in the list the mount at this path is, however the path is written.
    pub(super) fn find(&self, normal: &str) -> Option<usize> {
        self.0.get(normal).copied()
    }

    /// Adds the path, unless it is one of the others, or lies below or above one of them.
    pub(super) fn add(&mut self, normal: String, at: usize) -> Result<()> {
        // With the closing slash, what lies below a path begins with it, and sorts right after it.
        let from = (Bound::Included(normal.as_str()), Bound::Unbounded);
        let below = self.0.range::<str, _>(from).next().filter(|(o, _)| o.starts_with(&normal));
        let above = || {
            let mut above = normal.match_indices('/').map(|(at, _)| &normal[..=at]);
            above.find_map(|above| self.0.get_key_value(above))
        };
        if let Some((other, _)) = below.or_else(above) {
            let other = other.trim_end_matches('/');
            return check_apart("mount path", normal.trim_end_matches('/'), [other]);
        }
        self.0.insert(normal, at);
        Ok(())
    }

    /// Adds a path that is there already, whatever it overlaps: what others made is theirs.
    pub(super) fn insert(&mut self, normal: String, at: usize) {
        self.0.insert(normal, at);
    }
}

/// `/a/b/`, however it was written.
pub(super) fn normal(path: &str) -> String {
    let mut normal = String::with_capacity(path.len() + 2);
    normal.push('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                let parent = normal.trim_end_matches('/').rfind('/').unwrap_or_default();
                normal.truncate(parent + 1);
            }
            part => {
                normal.push_str(part);
                normal.push('/');
            }
        }
    }
    normal
}

/// The system's directories; a path below one of them hides nothing else.
const SYSTEM: [&str; 4] = ["/bin", "/etc", "/lib", "/usr"];
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Where the kubelet puts the pod's own token; `/var/run` is a link to `/run` in many images.
const SERVICE_ACCOUNT: [&str; 2] = ["/var/run/secrets/kubernetes.io", "/run/secrets/kubernetes.io"];

fn is_relative_path(path: &str) -> bool {
    path.len() < 1024
        && path.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (normal(one), normal(other));
    one.starts_with(&other) || other.starts_with(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_hides_the_system_or_the_pods_own_token_is_refused() {
        for path in [
            "/",
            "/etc",
            "/proc",
            "/proc/self",
            "/sys",
            "/sys/fs",
            "/dev",
            "/dev/shm",
            "/bin",
            "/usr",
            "/lib",
            "/var/run/secrets",
            "/var/run/secrets/kubernetes.io",
            "/var/run/secrets/kubernetes.io/serviceaccount",
            "/run/secrets/kubernetes.io/x",
        ] {
            let error = check_mount_path(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path}");
        }
    }

    #[test]
    fn a_path_of_the_secrets_own_is_fine() {
        let longest = format!("/{}", "x".repeat(1023));
        for path in
            ["/etc/app", "/usr/share/app", "/devices", "/run/secrets/app", "/..app", &longest]
        {
            assert!(check_mount_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_endless_or_not_printable_is_refused() {
        let endless = format!("/{}", "x".repeat(1024));
        for path in [endless.as_str(), "/a\u{202e}b", "/a\u{200b}", "/ä", "/a\tb", "/a\u{7f}"] {
            assert!(check_mount_path(path).is_err(), "{path:?}");
            assert!(check_item_path(&path[1..]).is_err(), "{path:?}");
        }
    }

    #[test]
    fn what_the_kubelet_keeps_for_itself_is_no_items_path() {
        for path in ["..data", "..2024_01", "..", "..data/x", "a/../b"] {
            assert!(check_item_path(path).is_err(), "{path}");
        }
        assert!(check_item_path("a/..b").is_ok());
    }

    #[test]
    fn nesting_is_by_segment_and_however_a_path_is_written() {
        for other in ["/a/b", "/a/b/", "/a//b", "/a/./b", "/x/../a/b", "/a", "/a/b/c", "/"] {
            assert!(check_apart("path", "/a/b", [other]).is_err(), "{other}");
        }
        for other in ["/a/bc", "/a/c", "/b"] {
            assert!(check_apart("path", "/a/b", [other]).is_ok(), "{other}");
        }
    }
}
