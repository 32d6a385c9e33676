//! The application in which people log in, over a real socket, with a provider in the process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod back_channel;
mod binary;
mod browser;
mod callback;
mod cookies;
mod leaks;
mod logout;
mod pages;
mod site;
