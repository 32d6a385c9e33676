path "secret/data/artifacts/crm/public/secrets/api-token" {
  capabilities = ["read"]
}
path "secret/data/artifacts/crm/users/auth0_7c123/secrets/tls" {
  capabilities = ["read"]
}
