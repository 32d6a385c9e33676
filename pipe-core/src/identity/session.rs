//! Sessions of people, and where they are kept (REQ 002-10, 002-29).

mod id;
mod memory;
mod store;

pub use self::id::{BrowserId, SessionId};
pub use self::memory::MemorySessions;
pub use self::store::{SessionKey, SessionRecord, SessionStore, SessionTag, StoredSession};
