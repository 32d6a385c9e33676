#!/usr/bin/env bash
# Unpacks Debian's Redis server and prints its binary. Nothing is installed: no root is needed, and all stays in the cache.
set -euo pipefail

# Debian 12's; its security updates change what follows.
version=7.0

cache="$HOME/.cache/pipe-live"
target="$cache/redis-$version"

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Fetches into $staging/apt with the machine's own sources and keys, of which /etc keeps none of the changes.
configure_apt() {
  local apt="$staging/apt" file
  mkdir -p "$apt"/{sources,lists/partial,cache/archives/partial}
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    [ -f "$file" ] || continue
    cp "$file" "$apt/sources/${file##*/}"
  done
  # Others than Debian have packages of these names too.
  printf 'Package: *\nPin: release o=Debian\nPin-Priority: 990\n' >"$apt/preferences"
  printf '%s "%s";\n' >"$apt/apt.conf" \
    Dir::Etc::SourceList /dev/null \
    Dir::Etc::SourceParts "$apt/sources" \
    Dir::Etc::Preferences "$apt/preferences" \
    Dir::State::Lists "$apt/lists" \
    Dir::Cache "$apt/cache" \
    Acquire::Languages none \
    Acquire::Retries 3 \
    APT::Sandbox::User "$(id -un)"
  export APT_CONFIG="$apt/apt.conf" DEBIAN_FRONTEND=noninteractive
}

if [ ! -x "$target/redis-server" ]; then
  grep --quiet '^VERSION_CODENAME=bookworm$' /etc/os-release ||
    fail 'only Debian 12 has the package: elsewhere, set PIPE_LIVE_REDIS to a redis-server or valkey-server'
  for command in apt-get dpkg-deb; do
    command -v "$command" >/dev/null || fail "$command is missing"
  done
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  configure_apt
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
