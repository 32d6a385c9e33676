//! What is said of each refusal.

use pipe_core::ErrorKind;

use super::Fault;

impl Fault {
    /// What to tell the caller: kind, message and what to change.
    pub(super) fn say(self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self {
            Self::Absent => {
                (K::NotFound, "nothing is there", "check the path, the mount and the namespace")
            }
            Self::MountMissing => (
                K::NotFound,
                "nothing is mounted there",
                "set `mount` to where the KV v2 engine is mounted, and `namespace` to where the mount is",
            ),
            Self::NamespaceMissing => (
                K::NotFound,
                "the namespace does not exist",
                "correct `namespace`, or create the namespace",
            ),
            Self::NotKv2 => (
                K::ConfigInvalid,
                "the path does not fit the version of the KV engine",
                "leave `kv_version` out, or set it to the version of the mount; raw paths of KV v2 have `data/` after the mount",
            ),
            Self::PathUnsupported => (
                K::Unsupported,
                "the engine at this mount does not know the operation",
                "set `mount` to the mount of a KV v2 engine",
            ),
            Self::BadToken => (
                K::Unauthenticated,
                "the token is not valid, or no longer",
                "set `auth` to a token or a login that this server and namespace accept",
            ),
            Self::Denied => (
                K::PermissionDenied,
                "the token's policies do not allow it",
                "grant the capability on this path in a policy of the role or token",
            ),
            Self::CasMismatch => (
                K::Conflict,
                "somebody else wrote meanwhile",
                "read the current version, then decide whether to write again",
            ),
            Self::CasRequired => (
                K::InvalidArgument,
                "the mount asks for check-and-set",
                "send the version that the write is based on",
            ),
            Self::RoleUnknown => (
                K::NotFound,
                "the engine has no such role",
                "correct the name of the role, or create the role in the engine",
            ),
            Self::KeyUnknown => (
                K::NotFound,
                "the engine has no such key",
                "correct the name of the key, or create the key in the engine",
            ),
            Self::KeyUnsuitable => (
                K::Unsupported,
                "a key of this type does not do that",
                "use a key of a type that does: `aes256-gcm96` encrypts, `ed25519` and `ecdsa-p256` sign",
            ),
            Self::ContextMissing => (
                K::InvalidArgument,
                "the key derives others, and was not told from what",
                "give the cipher the context that the key is to be derived for",
            ),
            Self::CiphertextRefused => (
                K::InvalidArgument,
                "what was given is not of this key, or was changed on its way",
                "check the key, that the associated data is what it was made with, and that the key's \
                 `min_decryption_version` does not exclude its version",
            ),
            Self::NameNotAllowed => (
                K::PermissionDenied,
                "the role does not allow such a certificate",
                "ask for names that the role allows, or change the role's allowed_domains, allow_subdomains, \
                 allow_bare_domains, allow_ip_sans, allowed_ip_sans_cidr or allowed_uri_sans",
            ),
            Self::CommonNameMissing => (
                K::InvalidArgument,
                "the role asks for a common name",
                "give a common name, or set the role's `require_cn` to false: certificates of SPIFFE have none",
            ),
            Self::KeyTypeRefused => (
                K::InvalidArgument,
                "the role does not take keys of this type",
                "make the CSR's key of the role's `key_type` and `key_bits`; a role with `key_type` `any` only \
                 signs CSRs",
            ),
            Self::EndIsFixed => (
                K::InvalidArgument,
                "the role fixes when its certificates end",
                "ask without a ttl, or remove the role's `not_after`",
            ),
            Self::AuthorityEndsSooner => (
                K::InvalidArgument,
                "the certificate would outlive the authority that issues it",
                "ask for a shorter ttl, set the issuer's `leaf_not_after_behavior` to `truncate`, or renew the \
                 authority",
            ),
            Self::AuthorityMissing => (
                K::ConfigInvalid,
                "the engine has no such authority",
                "generate or import one, and let the mount's default issuer or the role's `issuer_ref` name it",
            ),
            Self::CertificateUnknown => (
                K::NotFound,
                "the engine has no such certificate",
                "check the serial number; a role with `no_store` keeps none",
            ),
            Self::LeaseGone => (
                K::NotFound,
                "there is no such lease, or it has ended",
                "obtain the credentials again",
            ),
            Self::NotRenewable => (
                K::Unsupported,
                "the lease cannot be renewed",
                "obtain the credentials again before the lease ends",
            ),
            Self::DatabaseDown => (
                K::Unavailable,
                "the server does not reach the database",
                "check that the database runs, and the `connection_url` and the password in the engine's config",
            ),
            Self::DatabaseUnknown => (
                K::ConfigInvalid,
                "the role names a database that the engine does not have",
                "correct `db_name` of the role, or write the config of that database",
            ),
            Self::RoleNotAllowed => (
                K::PermissionDenied,
                "the database's config does not allow the role",
                "add the role to `allowed_roles` in the config of the database",
            ),
            Self::NoRaft => (
                K::Unsupported,
                "the server has no raft storage to take a snapshot of, or it is not asked in the root namespace",
                "use a plugin without `namespace`, on a server whose storage is raft",
            ),
            Self::WrapGone => (
                K::NotFound,
                "the wrapping token is not valid, or no longer",
                "if nobody of yours used it before, somebody may have intercepted it: revoke what it held; \
                 then have it wrapped again",
            ),
            Self::TooComplex => (
                K::InvalidArgument,
                "the request has more strings than the server accepts",
                "store fewer keys in one secret, or raise `max_request_json_strings` of the listener",
            ),
            Self::TooLarge => (
                K::InvalidArgument,
                "the request is larger than the server accepts",
                "store less in one secret, or raise `max_request_size` of the listener",
            ),
            Self::BadRequest => (
                K::InvalidArgument,
                "the server does not accept the request",
                "check the path, the mount and its kind",
            ),
            Self::LoginDenied("kubernetes") => (
                K::Unauthenticated,
                "the login is denied",
                "check `auth.mount` and `namespace`; then, on the server, that the auth method's kubernetes_host \
                 is reachable, its token_reviewer_jwt may create TokenReviews, and the service-account token is valid there",
            ),
            Self::LoginDenied(_) => (
                K::Unauthenticated,
                "the login is denied",
                "check `auth.mount` and `namespace`, and that the account is not locked out",
            ),
            Self::LoginRoleUnknown => (
                K::Unauthenticated,
                "the role does not exist",
                "set `auth.role` to a role of the auth method, or create the role",
            ),
            Self::LoginSecretRefused => (
                K::Unauthenticated,
                "the role id or the secret id is not valid",
                "check `auth.role_id` and `auth.secret_id`; a secret id may be used up or expired: issue a new one",
            ),
            Self::LoginSecretIncomplete => (
                K::ConfigInvalid,
                "the role id or the secret id is missing",
                "set `auth.role_id` and `auth.secret_id`",
            ),
            Self::Unwrapped => (
                K::Unauthenticated,
                "the wrapping token is not valid, or no longer",
                "if nothing of yours used it before, somebody may have intercepted it: destroy the secret id that it \
                 held; then set `auth.secret_id` to a new wrapping token, as after each start of the program",
            ),
            Self::LoginJwtExpired => (
                K::Unauthenticated,
                "the JWT has expired, or is not valid yet",
                "check that whatever gives `auth.jwt` refreshes it, and the clocks",
            ),
            Self::LoginJwtRefused => (
                K::Unauthenticated,
                "the JWT is not one that the role accepts",
                "check the JWT's issuer, audience and claims against the role's bound_issuer, bound_audiences, \
                 bound_claims and user_claim, and that the auth method knows the key that signed it",
            ),
            Self::LoginPasswordRefused => (
                K::Unauthenticated,
                "the user name or the password is not valid",
                "check `auth.username` and `auth.password`; several wrong ones in a row lock the user out",
            ),
            Self::LoginCertificateRefused => (
                K::Unauthenticated,
                "the client certificate is not one that the role accepts, or did not reach the server",
                "check `auth.role`, that its certificate is the authority of `http.client_certificate` and its allowed \
                 names fit, and that nothing in front of the server ends TLS",
            ),
            Self::LoginAddressRefused => (
                K::Unauthenticated,
                "the role does not allow logins from this address",
                "add the address to the role's bound CIDR blocks",
            ),
            Self::LoginNotConfigured => (
                K::ConfigInvalid,
                "the auth method is mounted and not configured",
                "write the auth method's config on the server",
            ),
            Self::ServiceAccountNotBound => (
                K::Unauthenticated,
                "the role does not accept this service account",
                "add the service account's name and namespace to the role's bound_service_account_names and \
                 bound_service_account_namespaces",
            ),
            Self::ServiceAccountTokenExpired => (
                K::Unauthenticated,
                "the service-account token has expired",
                "check that `auth.token_file` is a projected token that the kubelet refreshes, and the clocks",
            ),
            Self::ServiceAccountTokenRefused => (
                K::Unauthenticated,
                "the service-account token is not one that the role accepts",
                "give the projected token the role's audience, and set `auth.audience` to it",
            ),
            Self::RateLimited => (
                K::RateLimited,
                "a rate limit quota is exceeded",
                "slow down, or raise the quota at sys/quotas/rate-limit",
            ),
            Self::ReplicaBehind => (
                K::Unavailable,
                "the node has not caught up with the cluster yet",
                "try again shortly",
            ),
            Self::Upgrading => (
                K::Unavailable,
                "the KV engine is being upgraded to version 2",
                "try again shortly",
            ),
            Self::NoActiveNode => (
                K::Unavailable,
                "the cluster has no active node just now",
                "try again shortly; if it lasts, check that a majority of the nodes is unsealed",
            ),
            Self::InlineLease => (
                K::Unsupported,
                "what has a lease cannot be read by requests that log in by themselves",
                "set `inline_auth` to false: a lease belongs to a token",
            ),
            Self::LeadershipLost => (
                K::Unavailable,
                "the node ceased to be the active one in the middle of the request",
                "try again shortly: the request may have had its effect",
            ),
            Self::Sealed => {
                (K::Unavailable, "the server is sealed or not initialised", "unseal the server")
            }
            Self::NamespaceSealed => {
                (K::Unavailable, "the namespace is sealed", "unseal the namespace")
            }
            Self::NamespaceLocked => (
                K::PermissionDenied,
                "an administrator locked the namespace",
                "unlock it at sys/namespaces/api-lock/unlock",
            ),
            Self::Redirected => (
                K::Unavailable,
                "the server points to another one, and redirects are not followed",
                "try again, as the cluster may be electing a leader; if it lasts, set `address` to the active node or to \
                 a load balancer that knows it",
            ),
            Self::Irrevocable => (
                K::Unsupported,
                "tokens of this type cannot be given back",
                "let the token expire, or let the role issue service tokens",
            ),
            Self::Foreign => (
                K::Unexpected,
                "something other than OpenBao answered",
                "check `address`, and what stands in front of the server",
            ),
            Self::Other => {
                (K::Unexpected, "the server could not answer", "look into the server's log")
            }
        }
    }
}
