//! Watches: a 200 whose body goes on, and in which even refusals are events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;

use super::super::http::Payload;
use super::access::{User, Wish};
use super::listing::Selection;
use super::request::ApiRequest;
use super::state::{Event, Order, Shared, State};
use super::status::{self, Cause, Reply, invalid};

/// How many pieces wait for a reader: the rest waits in the history.
const AHEAD: usize = 16;

/// What a watch was asked for.
struct Watch {
    selection: Selection,
    metadata_only: bool,
    bookmarks: bool,
    /// The revision that was told last.
    cursor: u64,
    /// What is told before anything happens.
    first: Vec<String>,
    ends_in: Duration,
    /// Whether this ends it at once.
    expired: bool,
}

impl Shared {
    /// Opens a watch.
    pub(super) fn watch(
        self: &Arc<Self>,
        request: &ApiRequest<'_>,
        user: &User,
        namespace: &str,
    ) -> Result<Payload, Reply> {
        // Before it counts as open, so that no order is missed.
        let (changes, mut orders) = (self.changes.subscribe(), self.orders.subscribe());
        let told = *orders.borrow_and_update();
        let mut state = self.state();
        let watch = Watch::of(&state, request, user, namespace)?;
        state.open_watches += 1;
        drop(state);
        let (pieces, body) = mpsc::channel(AHEAD);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = pieces.closed() => {}
                () = watch.run(&shared, changes, (orders, told), &pieces) => {}
            }
            shared.state().open_watches -= 1;
        });
        Ok(Payload::live(body))
    }
}

impl Watch {
    fn of(
        state: &State,
        request: &ApiRequest<'_>,
        user: &User,
        namespace: &str,
    ) -> Result<Self, Reply> {
        let selection = Selection::of(request, namespace)?;
        let name = selection.name().unwrap_or_default();
        let wish = Wish { verb: "watch", resource: "secrets", group: "", namespace, name };
        state.authorize(user, &wish)?;
        let initial = request.is_set("sendInitialEvents");
        let matching = request.parameter("resourceVersionMatch");
        if initial && matching.as_deref() != Some("NotOlderThan") {
            let message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            let field = "resourceVersionMatch".to_owned();
            let reason = "FieldValueForbidden";
            let cause = Cause { reason, field, message: message.to_owned() };
            return Err(invalid("ListOptions.meta.k8s.io", "", &[cause]));
        }
        let text = request.parameter("resourceVersion").unwrap_or_else(|| "0".to_owned());
        let Ok(revision) = text.parse::<u64>() else {
            let message = format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: invalid syntax"
            );
            return Err(status::status(500, "", &message, Value::Null));
        };
        let seconds = request.parameter("timeoutSeconds").and_then(|text| text.parse().ok());
        let metadata_only = request.metadata_only();
        let mut watch = Self {
            selection,
            metadata_only,
            bookmarks: request.is_set("allowWatchBookmarks"),
            cursor: revision,
            first: Vec::new(),
            ends_in: Duration::from_secs(seconds.unwrap_or(1800)),
            expired: false,
        };
        if revision == 0 || initial {
            let objects = state.objects.values();
            watch.first = objects
                .filter(|object| watch.selection.matches(object))
                .map(|object| line("ADDED", &object.json(metadata_only)))
                .collect();
            watch.cursor = state.revision;
            if initial {
                let marked = json!({"k8s.io/initial-events-end": "true"});
                watch.first.push(bookmark(watch.cursor, Some(marked)));
            }
        } else if revision < state.compacted {
            watch.first = vec![too_old(revision, state.compacted)];
            watch.expired = true;
        }
        Ok(watch)
    }

    async fn run(
        mut self,
        shared: &Arc<Shared>,
        mut changes: Receiver<u64>,
        (mut orders, mut told): (Receiver<Order>, Order),
        pieces: &mpsc::Sender<io::Result<Bytes>>,
    ) {
        let first = std::mem::take(&mut self.first);
        if self.send(pieces, first).await.is_err() || self.expired {
            return;
        }
        let end = tokio::time::Instant::now() + self.ends_in;
        loop {
            changes.borrow_and_update();
            let lines = self.news(&shared.state());
            if self.send(pieces, lines).await.is_err() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                ordered = orders.changed() => {
                    if ordered.is_err() {
                        return;
                    }
                    let order = *orders.borrow_and_update();
                    if order.break_off != told.break_off {
                        // The client is gone already when this fails.
                        let _ = pieces.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                        return;
                    }
                    if order.expire != told.expire {
                        let _ = self.send(pieces, vec![too_old(self.cursor, self.cursor + 1)]).await;
                        return;
                    }
                    if self.bookmarks && order.bookmark != told.bookmark {
                        let mark = vec![bookmark(self.cursor, None)];
                        if self.send(pieces, mark).await.is_err() {
                            return;
                        }
                    }
                    told = order;
                }
                () = tokio::time::sleep_until(end) => return,
            }
        }
    }

    /// What happened since the cursor. A watch that is under way does not mind compaction.
    fn news(&mut self, state: &State) -> Vec<String> {
        let at = state.history.partition_point(|event| event.revision <= self.cursor);
        let news = state.history.range(at..);
        let news = news.filter(|Event { object, .. }| self.selection.matches(object));
        let lines = news.map(|event| line(event.kind, &event.object.json(self.metadata_only)));
        let lines = lines.collect();
        self.cursor = self.cursor.max(state.revision);
        lines
    }

    async fn send(
        &self,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
        lines: Vec<String>,
    ) -> Result<(), ()> {
        for line in lines {
            // In two pieces, as networks deliver.
            let half = line.len() / 2;
            let line = Bytes::from(line);
            for piece in [line.slice(..half), line.slice(half..)] {
                pieces.send(Ok(piece)).await.map_err(drop)?;
            }
        }
        Ok(())
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn bookmark(revision: u64, annotations: Option<Value>) -> String {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(annotations) = annotations {
        metadata["annotations"] = annotations;
    }
    line("BOOKMARK", &json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata}))
}

fn too_old(revision: u64, oldest: u64) -> String {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("too old resource version: {revision} ({oldest})"),
        "reason": "Expired",
        "code": 410,
    });
    line("ERROR", &status)
}
