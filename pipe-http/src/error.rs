//! Faults of the transport, in our own words: the library's own would show URLs.

use std::error::Error as StdError;
use std::io;

use pipe_core::{Error, ErrorKind};
use rustls::{AlertDescription, CertificateError};

use crate::guard::{Refused, refused};

/// Whether a request failed before anything of it was sent: then it can have had no effect, and may
/// be sent elsewhere.
#[must_use]
pub fn was_not_sent(error: &Error) -> bool {
    error.context(SENT) == Some("no")
}

const SENT: &str = "sent";

/// What a failed exchange means. The library's error ends here.
pub(crate) fn transport(error: &reqwest::Error) -> Error {
    // First, because a failed handshake also counts as a failed connection.
    if let Some(fault) = cause::<rustls::Error>(error) {
        return tls(fault);
    }
    if cause::<Refused>(error).is_some() {
        return refused();
    }
    let classified = if error.is_builder() {
        Error::new(ErrorKind::InvalidArgument, "the request cannot be sent as it is")
    } else if error.is_dns() {
        Error::new(ErrorKind::Unavailable, "the name of the server does not resolve")
            .with(SENT, "no")
    // Not a `Timeout`: nothing was sent, so nothing can have happened.
    } else if error.is_connect() && error.is_timeout() {
        Error::new(ErrorKind::Unavailable, "no connection within `connect_timeout`")
            .with(SENT, "no")
    } else if error.is_connect() {
        Error::new(ErrorKind::Unavailable, "cannot connect to the server").with(SENT, "no")
    } else if error.is_timeout() {
        Error::new(ErrorKind::Timeout, "the connection timed out")
    } else if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        Error::new(ErrorKind::Unexpected, "the answer is not HTTP")
    } else {
        Error::new(ErrorKind::Unavailable, "the connection broke before the answer was complete")
    };
    match cause::<io::Error>(error) {
        Some(io) => classified.with("cause", io.kind()),
        None => classified,
    }
}

fn tls(fault: &rustls::Error) -> Error {
    match fault {
        rustls::Error::InvalidCertificate(fault) => certificate(fault),
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => Error::new(
            ErrorKind::Unauthenticated,
            "the server did not accept a client certificate from us",
        )
        .hint("check the certificate and the key in the `client_certificate` setting"),
        rustls::Error::InvalidMessage(_) => {
            Error::new(ErrorKind::Unexpected, "the server does not speak TLS")
                .hint("check the scheme and the port of the address")
        }
        _ => Error::new(ErrorKind::Unexpected, "the TLS handshake failed")
            .hint("check which TLS versions and ciphers the server offers; 1.2 is the least"),
    }
}

/// A certificate does not get better by asking again, so none of these is retryable.
fn certificate(fault: &CertificateError) -> Error {
    let (message, hint) = match fault {
        CertificateError::UnknownIssuer => (
            "the certificate of the server is from an issuer that is not trusted",
            "put the certificate of the authority that signed it into the `ca` setting",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "the certificate of the server is for another name",
            "use a name that the certificate carries in the address, or issue it for this name",
        ),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => (
            "the certificate of the server has expired, or is not valid yet",
            "renew the certificate on the server, and compare the clocks",
        ),
        _ => (
            "the certificate of the server is not acceptable",
            "check the certificate on the server, and the `ca` setting",
        ),
    };
    Error::new(ErrorKind::ConfigInvalid, message).with(SENT, "no").hint(hint)
}

/// The first cause of a type in the chain.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` leaves what it wraps out of its own chain.
        next = match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustls::Error as Tls;

    #[test]
    fn each_tls_fault_has_its_kind_and_names_what_to_change() {
        use ErrorKind::*;
        let certificate = Tls::InvalidCertificate;
        let table = [
            (certificate(CertificateError::UnknownIssuer), ConfigInvalid, "`ca`"),
            (certificate(CertificateError::NotValidForName), ConfigInvalid, "address"),
            (certificate(CertificateError::Expired), ConfigInvalid, "renew"),
            (certificate(CertificateError::NotValidYet), ConfigInvalid, "clocks"),
            (certificate(CertificateError::Revoked), ConfigInvalid, "`ca`"),
            (
                Tls::AlertReceived(AlertDescription::CertificateRequired),
                Unauthenticated,
                "`client_certificate`",
            ),
            (
                Tls::AlertReceived(AlertDescription::UnknownCA),
                Unauthenticated,
                "`client_certificate`",
            ),
            (Tls::AlertReceived(AlertDescription::ProtocolVersion), Unexpected, "1.2"),
            (Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType), Unexpected, "port"),
        ];
        for (fault, kind, named) in table {
            // As the TLS stream delivers it: wrapped, and out of the chain.
            let wrapped = io::Error::new(io::ErrorKind::InvalidData, fault);
            let error = tls(cause(&wrapped).unwrap());
            assert_eq!(error.kind(), kind, "{wrapped}");
            assert!(error.hint_text().contains(named), "{error}");
            assert!(!error.is_retryable(), "{error}");
        }
    }

    #[test]
    fn a_cause_is_found_below_nested_wrappers() {
        let inner = io::Error::new(io::ErrorKind::InvalidData, Tls::DecryptError);
        let outer = io::Error::other(inner);
        assert_eq!(cause::<Tls>(&outer), Some(&Tls::DecryptError));
        assert_eq!(cause::<Tls>(&io::Error::other("none")), None);
    }
}
