# Each recipe is a plain cargo line; `just` only makes it shorter.

# The main job, on embedded defaults
quickstart:
    cargo run -p pipe-examples --bin quickstart

# Everything that needs no server
test:
    cargo test --workspace

# The live suite against a real OpenBao (live/openbao/install.sh installs it)
live:
    cargo test -p pipe-secrets-openbao --test live

# The live suite against a certified OpenID provider (live/oidc-provider/install.sh installs it)
live-oidc:
    cargo test -p pipe-identity-oidc --test live

# The login in Chromium, which is installed if need be (live/oidc-provider/install.sh installs the provider)
live-chromium:
    PIPE_LIVE_CHROMIUM=$(live/chromium/install.sh) cargo test -p pipe-examples --test chromium

# The live suite against a real Cognee which is installed if need be
live-cognee:
    PIPE_LIVE_COGNEE=$(live/cognee/install.sh) cargo test -p pipe-memory-cognee --test live

# The live suite against a real API server (live/kubernetes/install.sh builds it)
live-kubernetes:
    cargo test -p pipe-secrets-k8s --test live

# Format
fmt:
    cargo fmt --all

# Lints, as CI runs them
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The documentation of all crates
doc:
    cargo doc --workspace --no-deps --open
