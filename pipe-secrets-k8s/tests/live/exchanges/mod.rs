//! The fake API server answers as the real one does: the same exchanges are held with both.
//!
//! The fake is always asked, the real one where it is installed; then the two must also agree on
//! what the exchanges leave open: fields, owners, causes and headers.
//!
//! An exchange is two lines: who asks what (`user VERB path body`), then status and answer. The path
//! is one in the test's namespace unless it begins with `/`. `+{` begins a Secret. Behind the verb
//! and a colon stands another type of the body, or of the answer. An answer lists what must be
//! there, `"*"` is any text, and null is nothing; texts of `message` are those of 1.36 and newer.
//! `1.N: ` before a question asks it of servers from that release on. `= word pointer` keeps
//! something of the last answer for `$word`.

mod access;
mod lists;
mod patches;
mod peers;
mod rules;
mod secrets;
