path "secret/data/artifacts/crm/public/secrets/api-token" {
  capabilities = ["read"]
}
path "secret/data/artifacts/crm/users/auth0_7c123/secrets/tls" {
  capabilities = ["create", "read", "update", "delete"]
}
path "secret/data/artifacts/crm/users/{{identity.entity.metadata.pipe_user}}/secrets/+" {
  capabilities = ["read"]
}
