//! Where in Infisical a secret is.

use pipe_core::{Error, ErrorKind, Namespace, Result, SecretRef};

use crate::names;

/// A folder of an environment of a project.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) project: String,
    pub(crate) environment: String,
    pub(crate) path: String,
}

/// Where secrets are that say nothing about it.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) project: String,
    pub(crate) environment: String,
    /// Empty, or with a slash in front and none behind.
    pub(crate) folder: String,
}

impl Home {
    /// The folder of a secret. Its namespace is an environment, or a project and an environment.
    pub(crate) fn place(&self, secret: &SecretRef) -> Result<Place> {
        let path = names::folder(&self.folder, &secret.name)?;
        self.at(secret.namespace.as_ref(), path)
    }

    /// The folder below which all secrets of a namespace are.
    pub(crate) fn root(&self, namespace: Option<&Namespace>) -> Result<Place> {
        let path = if self.folder.is_empty() { "/" } else { &self.folder };
        self.at(namespace, path.to_owned())
    }

    fn at(&self, namespace: Option<&Namespace>, path: String) -> Result<Place> {
        let own = (self.project.as_str(), self.environment.as_str());
        let (project, environment) = match namespace.map(Namespace::as_str) {
            None => own,
            Some(namespace) => namespace.split_once('/').unwrap_or((own.0, namespace)),
        };
        if !names::is_word(project) || !names::is_word(environment) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the namespace is no environment")
                .with("namespace", format_args!("{environment:?}"))
                .hint("use the slug of an environment, or a project's id, `/` and the slug"));
        }
        Ok(Place { project: project.to_owned(), environment: environment.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_an_environment_or_a_project_and_an_environment() {
        let home = Home {
            project: "p1".to_owned(),
            environment: "dev".to_owned(),
            folder: "/bots".to_owned(),
        };
        let place = |namespace: Option<&str>| {
            let secret = SecretRef::new("apps/db.main").unwrap();
            home.place(&match namespace {
                None => secret,
                Some(name) => secret.with_namespace(Namespace::new(name).unwrap()),
            })
        };
        let at = |place: Place| [place.project, place.environment, place.path].join(" ");
        assert_eq!(at(place(None).unwrap()), "p1 dev /bots/apps/db_dot_main");
        assert_eq!(at(place(Some("prod")).unwrap()), "p1 prod /bots/apps/db_dot_main");
        assert_eq!(at(place(Some("p2/prod")).unwrap()), "p2 prod /bots/apps/db_dot_main");
        for namespace in ["a.b", "p/a/b", "p.1/dev"] {
            let error = place(Some(namespace)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{namespace}");
        }
    }
}
