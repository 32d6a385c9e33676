#![doc = include_str!("../README.md")]

mod admin;
mod api;
mod assertion;
mod authorizations;
mod claims;
mod config;
mod key_file;
mod permission;
mod plugin;
mod scopes;

pub use self::admin::{MachineKey, ZitadelUser};
pub use self::authorizations::{Authorization, AuthorizationRoles};
pub use self::claims::{RoleOrganizations, ZitadelToken};
pub use self::config::{ApiClient, DOMAINS, ServiceUser, ZitadelConfig};
pub use self::permission::PermissionScope;
pub use self::plugin::Zitadel;
pub use self::scopes::ZitadelScopes;
