#!/usr/bin/env bash
# Installs the packages of the OpenID provider from npm and prints the directory that has them.
set -euo pipefail
cd "$(dirname "$0")"

# Keep in step with package.json, and with VERSION in pipe-identity-oidc/tests/live/server.rs.
version=9.13.3

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

command -v node >/dev/null || fail 'node is missing: install Node.js 20 or later'
command -v npm >/dev/null || fail 'npm is missing: install it beside Node.js'
major=$(node --print 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || fail "Node.js $(node --version) is too old: install 20 or later"
grep -q "\"oidc-provider\": \"$version\"" package.json || fail "package.json does not pin oidc-provider $version"

cache="$HOME/.cache/pipe-live"
target="$cache/oidc-provider-$version"
marker="node_modules/oidc-provider/package.json"

if [ ! -f "$target/$marker" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT

  mkdir "$staging/packages"
  cp package.json package-lock.json "$staging/packages"
  npm ci --prefix "$staging/packages" --ignore-scripts --no-audit --no-fund >&2 ||
    fail 'npm could not install the packages'

  # The rename is what makes a half-done install invisible. It fails when another install was quicker.
  node --eval 'fs.renameSync(...process.argv.slice(1))' "$staging/packages" "$target" 2>/dev/null ||
    [ -f "$target/$marker" ] || fail "cannot move the packages to $target"
fi

printf '%s\n' "$target"
