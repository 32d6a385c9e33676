//! What bots need to administer: machine users and their keys, users, roles of a project.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Zitadel;

const USERS: &str = "zitadel.user.v2.UserService";
const PROJECTS: &str = "zitadel.project.v2.ProjectService";

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZitadelUser {
    /// The id.
    pub id: String,
    /// The name by which it logs in; a machine user's client id.
    pub username: String,
    /// The id of the organisation that owns it.
    pub organization: Option<String>,
    /// Whether it is a machine user.
    pub is_machine: bool,
    /// Whether it can log in.
    pub is_active: bool,
}

/// A new key of a machine user. It is given out once.
#[derive(Clone)]
#[non_exhaustive]
pub struct MachineKey {
    /// The id of the key.
    pub id: String,
    /// The key file, for [`ServiceUser::key_file`](crate::ServiceUser::key_file).
    pub file: SecretValue,
}

/// The id alone.
impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Zitadel {
    /// Creates a machine user in an organisation, and returns its id.
    ///
    /// # Errors
    /// `Conflict` when there is a user of this name; `PermissionDenied` unless our service user is a manager
    /// there; `Unsupported` without `service`.
    pub async fn create_machine_user(
        &self,
        organization: &str,
        username: &str,
        name: &str,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        let request = json!({
            "organizationId": organization,
            "username": username,
            "machine": {"name": name},
        });
        let created: Created = self.administer(USERS, "CreateUser", &request).await?;
        Ok(created.id)
    }

    /// Creates a key for a machine user.
    ///
    /// # Errors
    /// As for [`create_machine_user`](Self::create_machine_user); `NotFound` without such a user.
    pub async fn create_machine_key(&self, user: &str) -> Result<MachineKey> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Created {
            key_id: String,
            key_content: SecretValue,
        }
        let created: Created = self.administer(USERS, "AddKey", &json!({"userId": user})).await?;
        let content = created.key_content.expose();
        let file = STANDARD.decode(content).or_else(|_| URL_SAFE_NO_PAD.decode(content));
        let file = file.map_err(|_| {
            let error = Error::new(ErrorKind::Unexpected, "the new key is not base64");
            self.locate(error, "create_machine_key")
        })?;
        Ok(MachineKey { id: created.key_id, file: file.into() })
    }

    /// Reads a user; `None` when there is none, or none that our service user may see.
    ///
    /// # Errors
    /// As for [`create_machine_user`](Self::create_machine_user).
    pub async fn read_user(&self, id: &str) -> Result<Option<ZitadelUser>> {
        let read = self.administer(USERS, "GetUserByID", &json!({"userId": id})).await;
        let Found { user } = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        Ok(Some(ZitadelUser {
            id: user.user_id,
            username: user.username,
            organization: user.details.and_then(|details| details.resource_owner),
            is_machine: user.machine.is_some(),
            is_active: user.state == "USER_STATE_ACTIVE",
        }))
    }

    /// Adds a role to a project (the plugin's own when `None`); `false` when it has it already.
    ///
    /// # Errors
    /// As for [`create_machine_user`](Self::create_machine_user).
    pub async fn add_project_role(
        &self,
        project: Option<&str>,
        key: &str,
        display_name: &str,
    ) -> Result<bool> {
        let request = json!({
            "projectId": project.unwrap_or(&self.0.project),
            "roleKey": key,
            "displayName": display_name,
        });
        match self.administer::<Value>(PROJECTS, "AddProjectRole", &request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn administer<T: serde::de::DeserializeOwned>(
        &self,
        service: &'static str,
        method: &'static str,
        request: &Value,
    ) -> Result<T> {
        let answer = self.0.call(service, method, request).await;
        answer.map_err(|error| self.locate(error, "administer"))
    }
}

#[derive(Deserialize)]
struct Found {
    user: FoundUser,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundUser {
    user_id: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    details: Option<Details>,
    #[serde(default)]
    machine: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    resource_owner: Option<String>,
}
