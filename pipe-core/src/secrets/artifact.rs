//! Where the secrets of an application are.
