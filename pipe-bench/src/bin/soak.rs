//! A million operations through the full stack, against a store that fails three calls in ten.
//!
//! Ends with an error unless every answer was right or a typed error, every call has its audit
//! line, no task is left, and the memory did not grow over the last half. Arguments: how many
//! operations, and the seed.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pipe_core::audit::{self, Audit, Fsync, JsonLines, JsonLinesConfig, OnFault};
use pipe_core::secrets::{
    Change, ListQuery, Secret, SecretStream, SecretsCapabilities, WriteOutcome,
};
use pipe_core::wrap::{
    CachePolicy, Cached, Metrics, Observed, Observer, Retry, RetryPolicy, Timeout,
};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result, SecretData, SecretRef, SecretsPlugin};
use pipe_testkit::reference::InMemorySecrets;
