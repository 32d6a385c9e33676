//! Reading, writing and deleting secrets, and making folders.

use serde_json::{Value, json};

use super::reply::{Refusal, Reply, bad_request, not_found, refuse};
use super::routes::ApiCall;
use super::state::{InfisicalRelease, InfisicalRights, State};
use super::store::{Environment, Row, View, add_folder};

/// How deep references are followed.
const DEPTH: usize = 10;

/// Where a request looks.
struct Scope {
    environment: String,
    path: String,
}

impl State {
    pub(super) fn list(
        &mut self,
        call: &ApiCall<'_>,
        rights: InfisicalRights,
    ) -> Result<Reply, Refusal> {
        let scope = self.scope(call, rights)?;
        let wanted = call.is_set("viewSecretValue", true);
        match rights {
            InfisicalRights::None => {
                return Err(self.denied("You are not allowed to read on secrets"));
            }
            InfisicalRights::Describe if wanted => {
                return Err(self.denied("You are not allowed to readValue on secrets"));
            }
            _ => {}
        }
        let found = self.environments.get(&scope.environment);
        let found = found.filter(|found| found.folders.contains(&scope.path));
        let Some(environment) = found else {
            if call.v4 {
                return Err(self.folder_missing(&scope, "NotFound"));
            }
            return Ok(Reply::ok(&json!({"secrets": [], "imports": []})));
        };
        let recursive = call.is_set("recursive", false);
        let below = format!("{}/", scope.path.trim_end_matches('/'));
        let tags = call.parameter("tagSlugs");
        let filter = call.parameter("metadataFilter").as_deref().and_then(metadata_filter);
        let rows = environment.rows.iter().filter(|row| {
            (row.path == scope.path || (recursive && row.path.starts_with(&below)))
                && tags.as_ref().is_none_or(|tags| tags.split(',').any(|t| row.tags.contains(t)))
                && filter.as_ref().is_none_or(|filter| row.metadata.contains(filter))
        });
        let view = View {
            environment: &scope.environment,
            hidden: !wanted && !self.release.is_old(),
            version: None,
            whole: true,
        };
        let expand = call.is_set("expandSecretReferences", call.v4);
        let shown = |row: &Row, view: View<'_>| {
            let value = self.shown(row, view.environment, expand);
            let mut shown = row.json(self, view, &value);
            shown["secretPath"] = row.path.as_str().into();
            shown
        };
        let secrets: Vec<_> = rows.map(|row| shown(row, view)).collect();
        let mut body = json!({"secrets": secrets});
        let imports = call.is_set("include_imports", call.v4)
            || (call.v4 && call.is_set("includeImports", false));
        if imports {
            let sources = environment.imports.get(&scope.path).map(Vec::as_slice);
            let sources = sources.unwrap_or_default().iter().map(|(slug, path)| {
                let rows = self.environments.get(slug).map(|found| found.rows.as_slice());
                let rows = rows.unwrap_or_default().iter().filter(|row| row.path == *path);
                let secrets: Vec<_> = rows
                    .map(|row| {
                        let mut shown = shown(row, View { environment: slug, ..view });
                        shown["workspace"] = "".into();
                        for field in ["createdAt", "updatedAt", "secretReminderNote", "secretReminderRepeatDays"] {
                            if let Some(shown) = shown.as_object_mut() {
                                shown.remove(field);
                            }
                        }
                        shown
                    })
                    .collect();
                json!({"secretPath": path, "environment": slug, "folderId": "f", "secrets": secrets})
            });
            body["imports"] = sources.collect();
        } else if !self.release.is_old() {
            body["imports"] = json!([]);
        }
        Ok(Reply::ok(&body))
    }

    pub(super) fn get(
        &mut self,
        call: &ApiCall<'_>,
        rights: InfisicalRights,
        name: &str,
    ) -> Result<Reply, Refusal> {
        let scope = self.scope(call, rights)?;
        if rights == InfisicalRights::None {
            return Err(self.denied("You are not allowed to read on secrets"));
        }
        let environment = self.folder(&scope, "GetSecretByName")?;
        let of_folder = |environment: &Environment, path: &str| {
            environment.rows.iter().rfind(|row| row.path == path && row.key == name).cloned()
        };
        let mut found =
            of_folder(environment, &scope.path).map(|row| (row, scope.environment.clone()));
        if found.is_none() && call.is_set("include_imports", call.v4) {
            let imports = environment.imports.get(&scope.path).map(Vec::as_slice);
            found = imports.unwrap_or_default().iter().rev().find_map(|(slug, path)| {
                Some((of_folder(self.environments.get(slug)?, path)?, slug.clone()))
            });
        }
        let missing = || not_found(&format!("Secret with name '{name}' not found"));
        let (row, slug) = found.ok_or_else(missing)?;
        let wanted = call.is_set("viewSecretValue", true);
        if wanted && rights == InfisicalRights::Describe {
            let text = format!(
                "You do not have permission to view secret value on secret with name '{name}'"
            );
            return Err(refuse(403, "ForbiddenReadSecretError", text));
        }
        // The old server does not look at the version.
        let version = call.parameter("version").filter(|_| !self.release.is_old());
        let version = version.and_then(|text| text.parse::<usize>().ok());
        if version.is_some_and(|version| !(1..=row.values.len()).contains(&version)) {
            return Err(missing());
        }
        let expand = call.is_set("expandSecretReferences", call.v4);
        let value = match version {
            Some(version) => row.values[version - 1].clone(),
            None => self.shown(&row, &slug, expand),
        };
        let hidden = !wanted && !self.release.is_old();
        let view = View { environment: &slug, hidden, version, whole: true };
        Ok(Reply::ok(&json!({"secret": row.json(self, view, &value)})))
    }

    /// Creates, updates or deletes one secret or several, all of them or none.
    pub(super) fn change(
        &mut self,
        call: &ApiCall<'_>,
        rights: InfisicalRights,
        name: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let scope = self.scope(call, rights)?;
        if rights != InfisicalRights::All {
            return Err(self.denied("You are not allowed to edit on secrets"));
        }
        let method = call.call.method.as_str();
        let operation = match method {
            "POST" => "CreateSecret",
            "PATCH" => "UpdateSecret",
            _ => "DeleteSecret",
        };
        self.folder(&scope, operation)?;
        let entries = match name {
            Some(name) => {
                let mut entry = call.body.clone();
                entry["secretKey"] = name.into();
                vec![entry]
            }
            None => call.body["secrets"].as_array().cloned().unwrap_or_default(),
        };
        if entries.is_empty() {
            return Err(self.invalid("secrets"));
        }
        let upsert = call.body["mode"] == "upsert" && !self.release.is_old();
        for entry in &entries {
            self.check_entry(&scope, entry, (method, upsert), name.is_some())?;
        }
        if self.approval {
            let approval = json!({"id": "a1", "status": "open", "hasMerged": false});
            return Ok(Reply::ok(&json!({"approval": approval})));
        }
        let racing = method == "POST" && self.racing > 0;
        if racing {
            self.racing -= 1;
        }
        let now = self.now();
        let mut changed = Vec::new();
        for entry in &entries {
            let key = entry["secretKey"].as_str().unwrap_or_default();
            let value = entry["secretValue"].as_str();
            let environment = self.environments.entry(scope.environment.clone()).or_default();
            let rows = &mut environment.rows;
            let place = rows.iter().rposition(|row| row.path == scope.path && row.key == key);
            let mut row = match place.filter(|_| !racing) {
                Some(place) => rows.remove(place),
                None => Row { values: Vec::new(), ..Row::new(&scope.path, key, "", now) },
            };
            if method != "DELETE" {
                if let Some(value) = value {
                    row.set(value, now);
                }
                describe(&mut row, entry);
                rows.push(row.clone());
            }
            changed.push(row);
        }
        let view =
            View { environment: &scope.environment, hidden: false, version: None, whole: false };
        let mut shown = changed.iter().map(|row| row.json(self, view, row.value()));
        Ok(Reply::ok(&match name {
            Some(_) => json!({"secret": shown.next()}),
            None => json!({"secrets": shown.collect::<Vec<_>>()}),
        }))
    }

    fn check_entry(
        &self,
        scope: &Scope,
        entry: &Value,
        (method, upsert): (&str, bool),
        single: bool,
    ) -> Result<(), Refusal> {
        let Some(key) = entry["secretKey"].as_str().filter(|key| !key.is_empty()) else {
            return Err(self.invalid("secretKey"));
        };
        let exists = self.read(&scope.environment, &scope.path, key).is_some();
        match method {
            "POST" => {
                let forbidden = [(' ', "spaces"), ('/', "forward slash"), (':', "colon")];
                for (character, word) in forbidden {
                    if !self.release.is_old() && key.contains(character) {
                        let issue = json!([{
                            "code": "custom",
                            "message": format!("Secret name cannot contain {word}."),
                            "path": ["secretName"],
                        }]);
                        return Err(refuse(422, "ValidationFailure", issue));
                    }
                }
                if !entry["secretValue"].is_string() {
                    return Err(self.invalid("secretValue"));
                }
                if entry["type"] == "personal" {
                    return Err(bad_request("Must be user to create personal secret"));
                }
                if exists && self.racing == 0 {
                    return Err(bad_request(&match single {
                        true => "Secret already exist".to_owned(),
                        false => format!("Secret already exist: {key}"),
                    }));
                }
            }
            "PATCH" if !exists && !upsert => {
                return Err(not_found(&match single {
                    true => format!("Secret with name {key} not found"),
                    false => format!("Secret does not exist: {key} in path {}", scope.path),
                }));
            }
            "DELETE" if !exists => {
                return Err(not_found(&match single {
                    true => "Secret not found".to_owned(),
                    false => format!("Secret does not exist: {key} in path {}", scope.path),
                }));
            }
            _ => {}
        }
        let value = entry["secretValue"].as_str().unwrap_or_default();
        if !self.release.is_old()
            && let Some(missing) = self.unresolved(value, scope)
        {
            return Err(bad_request(&format!("Referenced secret(s) not found: {missing}")));
        }
        Ok(())
    }

    pub(super) fn create_folder(
        &mut self,
        call: &ApiCall<'_>,
        rights: InfisicalRights,
    ) -> Result<Reply, Refusal> {
        let Some(name) = call.parameter("name") else { return Err(self.invalid("name")) };
        let parent = call.parameter("path").unwrap_or_else(|| "/".to_owned());
        self.check_project(call, rights)?;
        if rights != InfisicalRights::All {
            return Err(self.denied("You are not allowed to create on secret-folders"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.chars().all(legal) {
            if self.release.is_old() {
                return Err(refuse(500, "InternalServerError", "Something went wrong"));
            }
            let text = "Invalid folder name. Only alphanumeric characters, dashes, and underscores are allowed.";
            let issue = json!([{"code": "custom", "message": text, "path": ["name"]}]);
            return Err(refuse(422, "ValidationFailure", issue));
        }
        let slug = call.parameter("environment").unwrap_or_default();
        let Some(environment) = self.environments.get_mut(&slug) else {
            let text = format!("Environment with slug '{slug}' in project not found");
            return Err(refuse(404, "CreateFolder", text));
        };
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        if call.v4 && environment.folders.contains(&path) {
            return Err(bad_request("Folder already exists"));
        }
        add_folder(environment, &path);
        Ok(Reply::ok(&json!({"folder": {"id": "f", "name": name, "version": 1, "parentId": "p"}})))
    }

    fn scope(&self, call: &ApiCall<'_>, rights: InfisicalRights) -> Result<Scope, Refusal> {
        self.check_project(call, rights)?;
        let environment = call.parameter("environment");
        let environment = environment.ok_or_else(|| self.invalid("environment"))?;
        let path = call.parameter("secretPath").unwrap_or_else(|| "/".to_owned());
        let path = match path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        Ok(Scope { environment, path })
    }

    fn check_project(&self, call: &ApiCall<'_>, rights: InfisicalRights) -> Result<(), Refusal> {
        // Other names are ignored in silence.
        let name = if call.v4 { "projectId" } else { "workspaceId" };
        let Some(project) = call.parameter(name) else {
            return Err(match call.v4 {
                true => self.invalid("projectId"),
                false => bad_request("You must provide workspaceSlug or workspaceId"),
            });
        };
        if project != self.project {
            let text = format!(
                "Project with ID '{project}' not found during bot lookup. Are you sure you are using the correct project ID?"
            );
            return Err(not_found(&text));
        }
        if rights == InfisicalRights::NotMember {
            let error =
                format!("Identity is not a member of the specified project with ID '{project}'");
            return Err(refuse(403, &error, "You are not allowed to access this resource"));
        }
        Ok(())
    }

    fn folder(&self, scope: &Scope, operation: &str) -> Result<&Environment, Refusal> {
        let found = self.environments.get(&scope.environment);
        let operation = match self.release {
            InfisicalRelease::Current => "NotFound",
            _ => operation,
        };
        found
            .filter(|found| found.folders.contains(&scope.path))
            .ok_or_else(|| self.folder_missing(scope, operation))
    }

    fn folder_missing(&self, scope: &Scope, error: &str) -> Refusal {
        let Scope { environment, path } = scope;
        let text =
            format!("Folder with path '{path}' in environment with slug '{environment}' not found");
        refuse(404, error, text)
    }

    fn denied(&self, message: &str) -> Refusal {
        let mut refusal = refuse(403, "PermissionDenied", message);
        if !self.release.is_old()
            && let Ok(mut body) = serde_json::from_str::<Value>(&refusal.body)
        {
            body["details"] = json!([]);
            refusal.body = body.to_string();
        }
        refusal
    }

    /// The value with its references followed, where that is asked for.
    fn shown(&self, row: &Row, environment: &str, expand: bool) -> String {
        if !expand {
            return row.value().to_owned();
        }
        self.expanded(row.value(), environment, &row.path, DEPTH)
    }

    fn expanded(&self, value: &str, environment: &str, path: &str, depth: usize) -> String {
        let mut expanded = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("${") {
            expanded += before;
            let Some((reference, after)) = after.split_once('}') else {
                expanded += "${";
                rest = after;
                continue;
            };
            let place = place_of(reference, environment, path);
            let target = self.read(&place.0, &place.1, &place.2).filter(|_| depth > 0);
            match target {
                Some((text, _)) => expanded += &self.expanded(&text, &place.0, &place.1, depth - 1),
                None => expanded += &format!("${{{reference}}}"),
            }
            rest = after;
        }
        expanded + rest
    }

    fn unresolved(&self, value: &str, scope: &Scope) -> Option<String> {
        let references = value.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
        let mut references = references.filter(|reference| {
            let (environment, path, key) = place_of(reference, &scope.environment, &scope.path);
            self.read(&environment, &path, &key).is_none()
        });
        references.next().map(str::to_owned)
    }
}

/// `KEY` is in the same folder; `environment.folder.KEY` says where.
fn place_of(reference: &str, environment: &str, path: &str) -> (String, String, String) {
    let parts: Vec<_> = reference.split('.').collect();
    match parts.as_slice() {
        [environment, folders @ .., key] => {
            let path = format!("/{}", folders.join("/"));
            ((*environment).to_owned(), path, (*key).to_owned())
        }
        _ => (environment.to_owned(), path.to_owned(), reference.to_owned()),
    }
}

fn metadata_filter(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once(',')?;
    Some((key.strip_prefix("key=")?.to_owned(), value.strip_prefix("value=")?.to_owned()))
}

fn describe(row: &mut Row, entry: &Value) {
    if let Some(comment) = entry["secretComment"].as_str() {
        comment.clone_into(&mut row.comment);
    }
    if let Some(tags) = entry["tagIds"].as_array() {
        row.tags = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(metadata) = entry["secretMetadata"].as_array() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        row.metadata = metadata.iter().map(|m| (text(&m["key"]), text(&m["value"]))).collect();
    }
}
