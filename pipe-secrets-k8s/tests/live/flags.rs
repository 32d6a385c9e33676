//! With what flags the servers start.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::credentials::Credentials;
use crate::process::Processes;

/// Where the servers find their credentials.
#[derive(Debug)]
pub(crate) struct Files {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    client_certificate: PathBuf,
    client_key: PathBuf,
    tokens: PathBuf,
    service_account_key: PathBuf,
}

impl Files {
    pub(crate) fn write(processes: &Processes, credentials: &Credentials) -> Self {
        let Credentials { server, admin, service_accounts, .. } = credentials;
        Self {
            ca: processes.write("ca.pem", &credentials.ca()),
            certificate: processes.write("server.pem", &server.certificate),
            key: processes.write("server.key", &server.key),
            client_certificate: processes.write("client.pem", &admin.certificate),
            client_key: processes.write("client.key", &admin.key),
            tokens: processes.write("tokens.csv", &credentials.token_file()),
            service_account_key: processes
                .write("service-accounts.key", &service_accounts.serialize_pem()),
        }
    }
}

/// Flags that versions from 3.4 to 3.6 have.
pub(crate) fn etcd(files: &Files, url: &str, data: &Path) -> Vec<String> {
    arguments(&[
        ("data-dir", &data.display()),
        ("listen-client-urls", &url),
        ("advertise-client-urls", &url),
        ("cert-file", &files.certificate.display()),
        ("key-file", &files.key.display()),
        // Nobody gets in without a certificate of this CA.
        ("trusted-ca-file", &files.ca.display()),
        ("client-cert-auth", &true),
        // It has no peers, and would take a fixed port.
        ("listen-peer-urls", &"http://127.0.0.1:0"),
        ("logger", &"zap"),
        ("log-level", &"warn"),
        // The data need not outlive the machine.
        ("unsafe-no-fsync", &true),
    ])
}

/// Flags that versions from 1.20 to 1.36 have.
pub(crate) fn api_server(files: &Files, url: &str, etcd_url: &str) -> Vec<String> {
    let port = url.rsplit(':').next().expect("the URL has a port");
    arguments(&[
        ("bind-address", &"127.0.0.1"),
        ("advertise-address", &"127.0.0.1"),
        ("secure-port", &port),
        ("tls-cert-file", &files.certificate.display()),
        ("tls-private-key-file", &files.key.display()),
        ("client-ca-file", &files.ca.display()),
        ("token-auth-file", &files.tokens.display()),
        ("authorization-mode", &"RBAC"),
        ("etcd-servers", &etcd_url),
        ("etcd-cafile", &files.ca.display()),
        ("etcd-certfile", &files.client_certificate.display()),
        ("etcd-keyfile", &files.client_key.display()),
        ("service-account-issuer", &url),
        ("service-account-jwks-uri", &format_args!("{url}/openid/v1/jwks")),
        ("service-account-key-file", &files.service_account_key.display()),
        ("service-account-signing-key-file", &files.service_account_key.display()),
        ("api-audiences", &url),
        ("service-cluster-ip-range", &"10.96.0.0/16"),
        // There are no others, and a loopback address is refused as an endpoint.
        ("endpoint-reconciler-type", &"none"),
    ])
}

fn arguments(flags: &[(&str, &dyn Display)]) -> Vec<String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
