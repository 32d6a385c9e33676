//! Many items in one request.

use pipe_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::engine::body_size;
use crate::error::Fault;

/// The server takes a thousand strings, keys and values both; a few are spent outside the items.
const STRINGS: usize = 990;
/// What the items of a request may weigh: the answer weighs as much, and has a bound of its own.
const BYTES: usize = 2 << 20;

/// The items of an answer, of which each may have failed alone.
#[derive(Deserialize)]
struct Results<T> {
    batch_results: Vec<Item<T>>,
}

#[derive(Deserialize)]
struct Item<T> {
    #[serde(default)]
    error: String,
    #[serde(flatten)]
    result: Option<T>,
}

impl Key {
    /// Sends the items, in as many requests as their number takes. The result of each stands where
    /// the item stood; an error of the whole is one of the server or the way to it.
    pub(super) async fn batch<I: Serialize, T: DeserializeOwned>(
        &self,
        operation: &str,
        items: &[I],
        strings_per_item: usize,
        extra: &impl Serialize,
    ) -> Result<Vec<Result<T>>> {
        #[derive(Serialize)]
        struct Batch<'a, I, E> {
            batch_input: &'a [I],
            #[serde(flatten)]
            extra: &'a E,
        }
        let mut results = Vec::with_capacity(items.len());
        let most = (STRINGS / strings_per_item).max(1);
        let mut rest = items;
        while !rest.is_empty() {
            let mut bytes = 0;
            let mut count = 0;
            while count < most.min(rest.len()) {
                bytes += body_size(&rest[count])?;
                if count > 0 && bytes > BYTES {
                    break;
                }
                count += 1;
            }
            let (chunk, later) = rest.split_at(count);
            rest = later;
            let path = self.path(operation);
            let content = Batch { batch_input: chunk, extra };
            let (answer, _) = self.engine.try_write(&path, &content).await?;
            // Where an item fails, the status is that of a failure, and the others have succeeded.
            let Ok(found) = self.engine.data::<Results<T>>(&answer) else {
                return Err(match answer.0.error_kind() {
                    Some(_) => self.engine.error(&answer, &path, "update"),
                    None => self.engine.foreign(),
                });
            };
            if found.batch_results.len() != chunk.len() {
                return Err(self.engine.foreign());
            }
            results.extend(found.batch_results.into_iter().map(|item| self.judge(item)));
        }
        Ok(results)
    }

    fn judge<T>(&self, item: Item<T>) -> Result<T> {
        if item.error.is_empty() {
            return item.result.ok_or_else(|| self.engine.foreign());
        }
        // The server's text decides, and goes no further.
        let fault = Fault::of_engine("transit", 400, |part| item.error.contains(part));
        Err(fault.alone().with("key", &self.name))
    }
}

/// The results, when all have succeeded.
pub(super) fn all<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(results.len());
    for (index, result) in results.into_iter().enumerate() {
        all.push(result.map_err(|error: Error| error.with("item", index))?);
    }
    Ok(all)
}

/// An empty batch is none: the server refuses it.
pub(super) fn refuse_empty<T>(items: &[T]) -> Result<()> {
    match items.is_empty() {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::InvalidArgument, "there is nothing to do")
            .hint("give at least one item")),
    }
}
