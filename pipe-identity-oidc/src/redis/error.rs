//! What the client library says, as what a caller can do.

use ::redis::{ErrorKind as Kind, RedisError, ServerErrorKind as Server};
use pipe_core::{Error, ErrorKind};

/// The server's own text never gets into the error: it may repeat what was sent.
pub(super) fn convert(error: &RedisError) -> Error {
    let code = error.code().unwrap_or_default();
    let says = |words: &str| error.detail().is_some_and(|detail| detail.contains(words));
    let (kind, message, hint) = match error.kind() {
        Kind::AuthenticationFailed => REFUSED,
        _ if matches!(code, "NOAUTH" | "WRONGPASS") || says("WRONGPASS") || says("NOAUTH") => {
            REFUSED
        }
        // Before version 7, what a script fails with is inside of another error.
        _ if code == "OOM" || says("OOM command not allowed") => (
            ErrorKind::RateLimited,
            "the server is full",
            "raise the server's maxmemory, or keep records for a shorter time",
        ),
        Kind::Server(Server::NoPerm) => (
            ErrorKind::PermissionDenied,
            "the server does not let this user do it",
            "let the user run GET, the scripts and what they call, on all keys below the prefix",
        ),
        Kind::Server(Server::Moved | Server::Ask | Server::CrossSlot) => (
            ErrorKind::ConfigInvalid,
            "the server is part of a cluster, which is not supported",
            "set url to a server that is not in cluster mode",
        ),
        Kind::Server(
            Server::BusyLoading
            | Server::TryAgain
            | Server::ClusterDown
            | Server::MasterDown
            | Server::ReadOnly,
        ) => CANNOT_SERVE,
        _ if matches!(code, "NOREPLICAS" | "MISCONF" | "BUSY" | "UNBLOCKED")
            || says("max number of clients") =>
        {
            CANNOT_SERVE
        }
        Kind::Io => (
            ErrorKind::Unavailable,
            "the server cannot be reached",
            "check url, and whether the server runs",
        ),
        _ if code == "WRONGTYPE" => (
            ErrorKind::Unexpected,
            "somebody else keeps something under our keys",
            "give the store a prefix of its own",
        ),
        _ => (
            ErrorKind::Unexpected,
            "the server answered something unexpected",
            "check that it is Redis from version 6 on, or Valkey",
        ),
    };
    let error = Error::new(kind, message).hint(hint);
    match code {
        "" => error,
        code => error.with("code", code),
    }
}

/// Whether another connection may lead to a server that can serve.
pub(super) fn is_lost(error: &RedisError) -> bool {
    let is_demoted = matches!(error.kind(), Kind::Server(Server::ReadOnly | Server::MasterDown));
    is_demoted || matches!(error.kind(), Kind::Io | Kind::Parse)
}

pub(super) fn timed_out() -> Error {
    Error::new(ErrorKind::Timeout, "the server does not answer")
        .hint("check the server's load, or raise timeout")
}

pub(super) fn not_ours() -> Error {
    Error::new(ErrorKind::Unexpected, "somebody else keeps something under our keys")
        .hint("give the store a prefix of its own")
}

type Fault = (ErrorKind, &'static str, &'static str);

const REFUSED: Fault = (
    ErrorKind::Unauthenticated,
    "the server refuses the user or the password",
    "correct username and password",
);
const CANNOT_SERVE: Fault = (
    ErrorKind::Unavailable,
    "the server cannot serve now",
    "look at the state of the server and its replicas",
);

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: &str) -> RedisError {
        match ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            ::redis::Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_refusal_says_what_can_be_done() {
        for (line, kind) in [
            ("NOAUTH Authentication required.", ErrorKind::Unauthenticated),
            ("WRONGPASS invalid username-password pair", ErrorKind::Unauthenticated),
            ("NOPERM this user has no permissions", ErrorKind::PermissionDenied),
            ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::RateLimited),
            (
                "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
                ErrorKind::RateLimited,
            ),
            ("MOVED 1234 127.0.0.1:7001", ErrorKind::ConfigInvalid),
            ("CROSSSLOT Keys in request don't hash to the same slot", ErrorKind::ConfigInvalid),
            ("LOADING Redis is loading the dataset in memory", ErrorKind::Unavailable),
            ("READONLY You can't write against a read only replica.", ErrorKind::Unavailable),
            ("MASTERDOWN Link with MASTER is down", ErrorKind::Unavailable),
            ("NOREPLICAS Not enough good replicas to write.", ErrorKind::Unavailable),
            ("MISCONF Redis is configured to save RDB snapshots", ErrorKind::Unavailable),
            ("BUSY Redis is busy running a script.", ErrorKind::Unavailable),
            ("ERR max number of clients reached", ErrorKind::Unavailable),
            ("WRONGTYPE Operation against a key", ErrorKind::Unexpected),
            ("ERR unknown command 'EVALSHA'", ErrorKind::Unexpected),
        ] {
            let error = convert(&server(line));
            assert_eq!(error.kind(), kind, "{line}: {error}");
        }
    }

    #[test]
    fn what_the_server_says_is_not_repeated() {
        let error = convert(&server("ERR unknown command, with args beginning with: 'hunter2'"));
        assert!(!format!("{error:?} {error:#}").contains("hunter2"), "{error:?}");
    }
}
