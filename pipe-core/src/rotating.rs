//! Values that are replaced while they are in use.
