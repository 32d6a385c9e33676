#!/usr/bin/env bash
# Unpacks Debian's Redis server and prints its binary. Nothing is installed: no root is needed, and all stays in the cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian.sh"

# Debian 12's; its security updates change what follows.
version=7.0

cache="$HOME/.cache/pipe-live"
target="$cache/redis-$version"

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

if [ ! -x "$target/redis-server" ]; then
  grep --quiet '^VERSION_CODENAME=bookworm$' /etc/os-release ||
    fail 'only Debian 12 has the package: elsewhere, set PIPE_LIVE_REDIS to a redis-server or valkey-server'
  for command in apt-get dpkg-deb; do
    command -v "$command" >/dev/null || fail "$command is missing"
  done
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  configure_apt "$staging/apt"
  mkdir "$staging"/{packages,root,install}
  apt-get --quiet update >&2
  # The server is in the package of its tools.
  (cd "$staging/packages" && apt-get --quiet download redis-tools libatomic1 libjemalloc2 liblzf1 libssl3 >&2)
  for package in "$staging"/packages/*.deb; do
    dpkg-deb --extract "$package" "$staging/root"
  done
  mkdir "$staging/install/lib"
  cp "$staging"/root/usr/lib/*-linux-gnu*/*.so* "$staging/install/lib"
  # What it is called tells it what to be.
  cp "$staging/root/usr/bin/redis-check-rdb" "$staging/install/lib/redis-server"
  cat >"$staging/install/redis-server" <<'SCRIPT'
#!/bin/sh
lib=$(dirname "$0")/lib
LD_LIBRARY_PATH=$lib exec "$lib/redis-server" "$@"
SCRIPT
  chmod +x "$staging/install/redis-server"
  "$staging/install/redis-server" --version >&2
  # The rename is what makes a half-done install invisible. It fails when another install was quicker.
  mv --no-target-directory "$staging/install" "$target" 2>/dev/null ||
    [ -x "$target/redis-server" ] || fail "cannot move the server to $target"
fi

printf '%s\n' "$target/redis-server"
