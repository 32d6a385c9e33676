//! From settings to a client: in the cluster, by a kubeconfig, or at an address.
//!
//! Kubeconfigs are read and merged by `kube`. What its own client would do with them is not done:
//! it runs the programs that a kubeconfig names.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig};
use pipe_core::identity::ServiceAuthRequest;
use pipe_core::{ConfigFaults, IdentityPlugin, Result, SecretSource};
use pipe_http::{CaBundle, HttpClient, ServerAddress};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::auth::Auth;
use crate::client::{Client, impersonating};
use crate::config::{Connection, Impersonation, KubeconfigConnection, KubernetesConfig, checked};
use crate::names::check_namespace;

/// Where Kubernetes puts what a pod needs to speak to the API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the settings amount to.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    /// The namespace of references that name none.
    pub(crate) namespace: String,
}

/// Reads the files that the settings name, and talks to nobody.
pub(crate) fn connect(
    config: &KubernetesConfig,
    identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
) -> Result<Connected> {
    let mut faults = ConfigFaults::new();
    config.check(&mut faults);
    let found = match &config.connection {
        Connection::InCluster => in_cluster(Path::new(SERVICE_ACCOUNT), &mut faults),
        Connection::Kubeconfig(connection) => kubeconfig(connection, &mut faults),
        Connection::Cluster(cluster) => Some(Target {
            address: cluster.address.clone(),
            token: cluster.token.clone(),
            ..Target::default()
        }),
    };
    let connected = found.and_then(|target| finish(config, target, identity, &mut faults));
    checked(config, connected, faults)
}

/// What the three kinds of connection have in common.
#[derive(Default)]
struct Target {
    address: String,
    namespace: Option<String>,
    ca: Option<CaBundle>,
    client_certificate: Option<SecretSource>,
    token: Option<SecretSource>,
    proxy: Option<String>,
    impersonate: Option<Impersonation>,
}

fn finish(
    config: &KubernetesConfig,
    target: Target,
    identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    faults: &mut ConfigFaults,
) -> Option<Connected> {
    let mut http = config.http.clone();
    http.ca = http.ca.or(target.ca);
    http.client_certificate = http.client_certificate.or(target.client_certificate);
    if let (None, Some(proxy)) = (&http.proxy, target.proxy) {
        http.proxy = faults.keep("connection.proxy-url", proxy.parse());
    }
    let auth = match (identity, target.token) {
        (Some((plugin, request)), _) => Auth::identity(plugin, request),
        (None, Some(token)) => Auth::token(&token),
        (None, None) if http.client_certificate.is_some() => Auth::certificate(),
        (None, None) => {
            let fault = "says nothing about who we are: set a token or http.client_certificate";
            faults.add("connection", fault);
            return None;
        }
    };
    let namespace = config.namespace.clone().or(target.namespace);
    if namespace.is_none() {
        faults.add("namespace", "is not set, and the connection does not tell it");
    }
    let address = faults.keep("connection.address", target.address.parse::<ServerAddress>());
    // The faults of `http` do not depend on a sound address.
    let checkable = address.or_else(|| "https://localhost".parse().ok())?;
    let requests = faults.keep_below("http", HttpClient::new(&http, &checkable))?;
    // Watches have connections of their own: an HTTP/2 connection carries 100 streams, and reads
    // must not wait for the end of a watch.
    let watches = faults.keep_below("http", HttpClient::new(&http, &checkable))?;
    let (setting, impersonate) = match &config.impersonate {
        Some(set) => ("impersonate", Some(set)),
        None => ("connection.context", target.impersonate.as_ref()),
    };
    let impersonate = impersonate.map(impersonating).transpose();
    let impersonate = faults.keep(setting, impersonate)?.unwrap_or_default();
    let timeout = (http.timeout, http.max_body);
    let client = Client::new(requests, watches, auth, impersonate, timeout);
    Some(Connected { client, namespace: namespace? })
}

fn in_cluster(account: &Path, faults: &mut ConfigFaults) -> Option<Target> {
    let mut variable = |name: &'static str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        if value.is_none() {
            faults.add(name, "is not set: this is no pod, or it has no service account");
        }
        value
    };
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"));
    let host = host?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let namespace = std::fs::read_to_string(account.join("namespace")).ok();
    let namespace = namespace.map(|text| text.trim().to_owned());
    Some(Target {
        address: format!("https://{host}:{}", port?),
        namespace: namespace.filter(|text| check_namespace(text).is_ok()),
        ca: Some(CaBundle::file(account.join("ca.crt"))),
        token: Some(SecretSource::file(account.join("token"))),
        ..Target::default()
    })
}

fn kubeconfig(connection: &KubeconfigConnection, faults: &mut ConfigFaults) -> Option<Target> {
    let read = match &connection.path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    // kube's own error can quote the file.
    let Ok(config) = read else {
        faults.add("connection.path", "is no kubeconfig that can be read");
        return None;
    };
    let Some(name) = connection.context.as_ref().or(config.current_context.as_ref()) else {
        faults.add("connection.context", "is not set, and the kubeconfig has no current one");
        return None;
    };
    let context = config.contexts.iter().find(|context| context.name == *name);
    let Some(context) = context.and_then(|context| context.context.as_ref()) else {
        faults.add("connection.context", "is not in the kubeconfig");
        return None;
    };
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let Some(cluster) = cluster.and_then(|cluster| cluster.cluster.as_ref()) else {
        faults.add("connection.context", "names a cluster that is not in the kubeconfig");
        return None;
    };
    let user = context.user.as_ref();
    let user = config.auth_infos.iter().find(|info| user == Some(&info.name));
    let user = user.and_then(|info| info.auth_info.clone()).unwrap_or_default();
    of_context(context, cluster, &user, faults)
}

fn of_context(
    context: &Context,
    cluster: &Cluster,
    user: &AuthInfo,
    faults: &mut ConfigFaults,
) -> Option<Target> {
    let mut refuse = |refused: bool, fault: &'static str| {
        if refused {
            faults.add("connection.context", fault);
        }
    };
    refuse(
        user.exec.is_some() || user.auth_provider.is_some(),
        "its user logs in by a program, which is not run: use a token, a client certificate or an identity plugin",
    );
    refuse(
        user.username.is_some() || user.password.is_some(),
        "its user has a password, which API servers do not take any more",
    );
    refuse(
        cluster.insecure_skip_tls_verify == Some(true),
        "its cluster skips the check of certificates: give it a certificate-authority",
    );
    refuse(
        cluster.tls_server_name.is_some(),
        "its cluster has a tls-server-name: use an address that is in the server's certificate",
    );
    refuse(
        user.impersonate_uid.is_some() || user.impersonate_user_extra.is_some(),
        "its user impersonates by more than user and groups, which is not supported",
    );
    refuse(
        user.impersonate.is_none() && user.impersonate_groups.is_some(),
        "its user impersonates groups without a user",
    );
    let ca = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => {
            Some(CaBundle::pem(decoded(data, "certificate-authority-data", faults)?))
        }
        (None, Some(file)) => Some(CaBundle::file(file)),
        (None, None) => None,
    };
    let token = match (&user.token, &user.token_file) {
        (_, Some(file)) => Some(SecretSource::file(file)),
        (Some(token), None) => Some(SecretSource::Value(token.expose_secret().into())),
        (None, None) => None,
    };
    Some(Target {
        address: cluster.server.clone().unwrap_or_default(),
        namespace: Some(context.namespace.clone().unwrap_or_else(|| "default".to_owned())),
        ca,
        client_certificate: client_certificate(user, faults)?,
        token,
        proxy: cluster.proxy_url.clone(),
        impersonate: user.impersonate.clone().map(|user_name| Impersonation {
            user: user_name,
            groups: user.impersonate_groups.clone().unwrap_or_default(),
        }),
    })
}

/// Certificate and key in one secret, as `http.client_certificate` has them. The outer `None` says
/// that there was a fault.
fn client_certificate(user: &AuthInfo, faults: &mut ConfigFaults) -> Option<Option<SecretSource>> {
    let key_data = user.client_key_data.as_ref().map(|key| key.expose_secret());
    let certificate = pem(
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
        "client-certificate",
        faults,
    )?;
    let key = pem(key_data, user.client_key.as_deref(), "client-key", faults)?;
    match (certificate, key) {
        (None, None) => Some(None),
        (Some(certificate), Some(key)) => {
            let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len() + 1));
            both.extend_from_slice(&certificate);
            both.push(b'\n');
            both.extend_from_slice(&key);
            Some(Some(SecretSource::Value(both.as_slice().into())))
        }
        _ => {
            let fault = "its user has a client certificate without a key, or a key without one";
            faults.add("connection.context", fault);
            None
        }
    }
}

fn pem(
    data: Option<&str>,
    file: Option<&str>,
    what: &'static str,
    faults: &mut ConfigFaults,
) -> Option<Option<Zeroizing<Vec<u8>>>> {
    match (data, file) {
        (Some(data), _) => decoded(data, what, faults).map(|pem| Some(Zeroizing::new(pem))),
        (None, Some(file)) => {
            let read = SecretSource::file(file).read_once();
            let pem = faults.keep("connection.context", read)?;
            Some(Some(Zeroizing::new(pem.expose().to_vec())))
        }
        (None, None) => Some(None),
    }
}

fn decoded(data: &str, what: &'static str, faults: &mut ConfigFaults) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(data.trim_ascii()).ok();
    if decoded.is_none() {
        faults.add("connection.context", format!("its {what} is not base64"));
    }
    decoded
}

#[cfg(test)]
mod tests;
