//! Who keeps records of calls, and what they are told.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::secrets::Change;
use crate::{Error, Result, SecurityContext, TraceContext};

/// Is told of every call that [`Observed`](super::Observed) makes: audit, metrics, alarms.
///
/// Nothing secret is in a [`Call`]. Implementors never block: what takes time goes into the
/// [`Receipt`].
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A call is about to be made. A receipt that ends in an error refuses it: it is not made.
    fn admit(&self) -> Receipt {
        Receipt::done()
    }

    /// A call has ended, or its caller went away. A receipt that ends in an error withholds the
    /// call's answer. Nobody waits for the receipt of a cancelled call.
    fn finished(&self, call: &Call<'_>) -> Receipt;

    /// What is wrong with the keeping of records, while the calls go on: it makes the plugin's
    /// health `Degraded`.
    fn fault(&self) -> Option<Error> {
        None
    }
}

/// A finished call. Names, numbers and times only.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The plugin's instance name.
    pub plugin: &'a str,
    /// The method that was called: `get_secret`.
    pub operation: &'static str,
    /// The secret, the service, the principal or the two domains that it was about.
    pub subject: Option<Subject<'a>>,
    /// On whose behalf the task worked ([`SecurityContext::scope`]); the service itself when `None`.
    pub requester: Option<&'a SecurityContext>,
    /// Why ([`with_reason`](crate::with_reason)).
    pub reason: Option<&'a str>,
    /// The trace that the call was a part of, with a span of its own.
    pub trace: Option<&'a TraceContext>,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// What a call was about, made text only when somebody reads it.
#[derive(Clone, Copy)]
pub struct Subject<'a>(pub(super) &'a (dyn fmt::Display + Send + Sync));

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.to_string())
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// With an answer.
    Answered(Answered<'a>),
    /// With an error.
    Failed(&'a Error),
    /// The caller went away before there was an answer. A write may have happened.
    Cancelled,
}

impl Outcome<'_> {
    /// A stable name: `success`, `absent`, `cancelled`, or the name of the error's kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answered(Answered::Absent) => "absent",
            Self::Answered(_) => "success",
            Self::Failed(error) => error.kind().name(),
            Self::Cancelled => "cancelled",
        }
    }
}

/// What an answer says, without what is in it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Answered<'a> {
    /// What was asked for.
    Done,
    /// Nothing is there.
    Absent,
    /// What a write did.
    Written(Change),
    /// Who is calling.
    Caller(&'a SecurityContext),
}

/// Says when a record is kept, or that it is not. The call waits for it: whoever makes one bounds it.
#[must_use = "dropping a receipt means not to care whether the record was kept"]
pub struct Receipt(Kept);

enum Kept {
    Already,
    Not(Error),
    Later(Pin<Box<dyn Future<Output = Result<()>> + Send>>),
}

impl Receipt {
    /// It is kept.
    pub fn done() -> Self {
        Self(Kept::Already)
    }

    /// It is not, and will not be.
    pub fn failed(error: Error) -> Self {
        Self(Kept::Not(error))
    }

    /// It is kept once the future says so.
    pub fn when(kept: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        Self(Kept::Later(Box::pin(kept)))
    }

    /// Waits until it is kept.
    ///
    /// # Errors
    /// When it is not.
    pub async fn wait(self) -> Result<()> {
        match self.0 {
            Kept::Already => Ok(()),
            Kept::Not(error) => Err(error),
            Kept::Later(kept) => kept.await,
        }
    }

    /// Waits for both.
    fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Kept::Already, kept) | (kept, Kept::Already) => Self(kept),
            (Kept::Not(error), _) | (_, Kept::Not(error)) => Self(Kept::Not(error)),
            (Kept::Later(first), Kept::Later(second)) => Self::when(async {
                let (first, second) = futures_util::future::join(first, second).await;
                first.and(second)
            }),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn admit(&self) -> Receipt {
        (**self).admit()
    }

    fn finished(&self, call: &Call<'_>) -> Receipt {
        (**self).finished(call)
    }

    fn fault(&self) -> Option<Error> {
        (**self).fault()
    }
}

/// All of them.
impl Observer for Vec<Arc<dyn Observer>> {
    fn admit(&self) -> Receipt {
        self.iter().fold(Receipt::done(), |receipt, observer| receipt.and(observer.admit()))
    }

    fn finished(&self, call: &Call<'_>) -> Receipt {
        self.iter().fold(Receipt::done(), |receipt, observer| receipt.and(observer.finished(call)))
    }

    fn fault(&self) -> Option<Error> {
        self.iter().find_map(Observer::fault)
    }
}

/// Both.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn admit(&self) -> Receipt {
        self.0.admit().and(self.1.admit())
    }

    fn finished(&self, call: &Call<'_>) -> Receipt {
        self.0.finished(call).and(self.1.finished(call))
    }

    fn fault(&self) -> Option<Error> {
        self.0.fault().or_else(|| self.1.fault())
    }
}
