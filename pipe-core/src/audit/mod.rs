//! Who did what, with which outcome: on record.
