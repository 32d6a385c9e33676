//! Which engine the mount is of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Namespace, Result};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Form, Kv};
use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::Call;

const NAMESPACES_REMEMBERED: usize = 1024;
/// A mount can be removed and another put in its place.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// The engines that were seen, by namespace.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<HashMap<Option<Namespace>, (Form, Instant)>>);

impl Mounts {
    fn seen(&self) -> MutexGuard<'_, HashMap<Option<Namespace>, (Form, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn know(&self, namespace: Option<&Namespace>, form: Form) {
        let mut seen = self.seen();
        if seen.len() >= NAMESPACES_REMEMBERED {
            seen.clear();
        }
        seen.insert(namespace.cloned(), (form, Instant::now()));
    }
}

impl Kv {
    /// The engine, as far as it is known: that of version 2 until something looks odd.
    pub(super) fn form(&self, namespace: Option<&Namespace>) -> Form {
        match self.version {
            Some(form) => form,
            None => {
                let seen = self.mounts.seen();
                seen.get(&namespace.cloned()).map_or(Form::V2, |(form, _)| *form)
            }
        }
    }

    /// The version of the engine in the plugin's own namespace.
    pub(crate) async fn found(&self, client: &Client) -> Result<u8> {
        self.forget(None);
        self.detect(client, None).await.map(Form::number)
    }

    pub(super) fn forget(&self, namespace: Option<&Namespace>) {
        self.mounts.seen().remove(&namespace.cloned());
    }

    /// Asks, once a minute per namespace at most, which engine says that nothing is there: those of version 1 and
    /// the cubbyhole say it too, and would store a write in another form.
    ///
    /// It is asked only when something is absent or looks odd, so a read costs no second request.
    pub(super) async fn detect(
        &self,
        client: &Client,
        namespace: Option<&Namespace>,
    ) -> Result<Form> {
        #[derive(Deserialize)]
        struct Mount {
            r#type: String,
            path: String,
            options: Option<BTreeMap<String, String>>,
        }
        let seen = self.mounts.seen().get(&namespace.cloned()).copied();
        if let Some((form, _)) = seen.filter(|(_, at)| at.elapsed() < REMEMBERED_FOR) {
            return Ok(form);
        }
        let call = Call::get(format!("sys/internal/ui/mounts/{}", self.mount));
        let answer = client.send(namespace, Policy::Accept, || call.clone()).await?;
        let form = if answer.0.error_kind().is_none() {
            let mount = answer.data::<Mount>()?;
            let is_ours = mount.path.trim_end_matches('/') == self.mount.as_str();
            let options = mount.options.as_ref();
            let version = options.and_then(|options| options.get("version")).map(String::as_str);
            match (mount.r#type.as_str(), version) {
                ("kv", Some("2")) if is_ours => Form::V2,
                ("kv" | "generic", None | Some("1")) if is_ours => Form::V1,
                _ => {
                    let error = Error::new(ErrorKind::ConfigInvalid, "the mount is no KV engine");
                    return Err(error
                        .with("mount", &self.mount)
                        .hint("set `mount` to the mount of a KV engine"));
                }
            }
        } else {
            let error = Fault::of(&answer.0, Asked::Work).error(&answer.0);
            if error.is_retryable() {
                return Err(error);
            }
            // Whoever may do nothing at the mount is not told what it is; that is not remembered, for
            // policies and mounts come later.
            return Ok(self.form(namespace));
        };
        if self.version.is_some_and(|set| set != form) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the mount is of another version")
                .with("mount", &self.mount)
                .with("found", form.number())
                .hint("set `kv_version` to the version of the mount, or leave it out"));
        }
        self.mounts.know(namespace, form);
        Ok(form)
    }
}
