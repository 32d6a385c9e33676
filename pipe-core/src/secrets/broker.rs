//! Late binding: from a logical key to a place, by environment.
