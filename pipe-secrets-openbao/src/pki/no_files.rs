//! Systems without the links that change three files together.

use std::path::Path;

use pipe_core::{Error, ErrorKind, Result};

use crate::pki::certificate::IssuedCertificate;

/// Writes nothing.
pub(super) fn write(_: &Path, _: &IssuedCertificate) -> Result<()> {
    Err(Error::new(ErrorKind::Unsupported, "certificates are written to disk on Unix alone")
        .hint("use the certificate from memory"))
}
