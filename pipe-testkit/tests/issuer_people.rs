//! The provider in the process logs people in as the real one does.
#![cfg(feature = "issuer")]

#[path = "issuer_people/authentication.rs"]
mod authentication;
#[path = "issuer_people/authorization.rs"]
mod authorization;
#[path = "issuer_people/code.rs"]
mod code;
#[path = "issuer_people/device.rs"]
mod device;
#[path = "issuer_people/faults.rs"]
mod faults;
#[path = "issuer_people/logout.rs"]
mod logout;
#[path = "issuer_people/pushed.rs"]
mod pushed;
#[path = "issuer_people/refresh.rs"]
mod refresh;
#[path = "issuer_people/spoil.rs"]
mod spoil;
#[path = "issuer_people/wire.rs"]
mod wire;
