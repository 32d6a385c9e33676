//! The caller's context on its way to another service, signed.
