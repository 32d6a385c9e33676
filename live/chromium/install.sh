#!/usr/bin/env bash
# Prints the path of a headless Chromium: PIPE_LIVE_CHROMIUM where that is set, else a script that runs one of Debian's packages.
#
# Debian builds chromium-headless-shell from the source of its chromium. The packages are unpacked, not installed, with
# all libraries that they need but the C library: no root is needed, and all stays in the cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian.sh"

package=chromium-headless-shell
cache="$HOME/.cache/pipe-live"
log="$cache/chromium.log"

say() { printf 'chromium: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command with its output in the log, and shows the end of that when it fails.
logged() {
  "$@" >>"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  fail "$1 failed, see $log"
}

# The newest that is there. Debian's archive keeps no old version, so none can be pinned: to get a newer one, remove it.
installed() {
  local found
  found=$(printf '%s\n' "$cache"/chromium-*/chromium | sort --version-sort | tail -n 1)
  [ -x "$found" ] && printf '%s\n' "$found"
}

# Nothing is installed, so that all libraries are fetched, but the machine's own C library and what a desktop has.
write_status() {
  local package
  for package in 'libc6 2.99' 'x11-utils 99' 'xdg-utils 99'; do
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nMulti-Arch: same\nVersion: %s\nMaintainer: -\nDescription: -\n\n' \
      "${package% *}" "$(dpkg --print-architecture)" "${package#* }"
  done >"$staging/apt/state/status"
}

unpack() {
  local file
  mkdir -p "$staging/apt/state"
  write_status
  configure_apt "$staging/apt" \
    Dir::State "$staging/apt/state" \
    Dir::State::status "$staging/apt/state/status" \
    APT::Install-Recommends false
  say 'reading the package lists'
  logged apt-get --quiet update
  say 'downloading 100 MB'
  logged apt-get --quiet --yes --download-only install "$package"
  mkdir -p "$staging/chromium/root"
  for file in "$staging"/apt/cache/archives/*.deb; do
    logged dpkg-deb --extract "$file" "$staging/chromium/root"
  done
  # Of no use to it: manuals, icons, translations, services.
  rm -rf "$staging"/chromium/root/usr/{share/{doc,man,locale,icons,bash-completion},lib/systemd}
}

# It finds all beside itself, wherever it is moved.
write_script() {
  cat >"$staging/chromium/fonts.conf" <<'XML'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">root/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
XML
  cat >"$staging/chromium/chromium" <<SH
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
root="\$here/root"
export LD_LIBRARY_PATH="\$root/usr/lib/$triplet:\$root/lib/$triplet:\$root/usr/lib/$triplet/pulseaudio"
export FONTCONFIG_FILE="\$here/fonts.conf"
exec "\$root/usr/lib/chromium/chromium-headless-shell" "\$@"
SH
  chmod +x "$staging/chromium/chromium"
}

if [ -n "${PIPE_LIVE_CHROMIUM:-}" ]; then
  [ -x "$PIPE_LIVE_CHROMIUM" ] || fail "PIPE_LIVE_CHROMIUM is no program: $PIPE_LIVE_CHROMIUM"
  printf '%s\n' "$PIPE_LIVE_CHROMIUM"
  exit
fi

if ! installed; then
  grep --quiet '^ID=debian$' /etc/os-release || fail 'only Debian has the packages: elsewhere, set PIPE_LIVE_CHROMIUM to a Chromium'
  for command in apt-get dpkg dpkg-deb flock; do
    command -v "$command" >/dev/null || fail "$command is missing"
  done
  triplet="$(uname -m)-linux-gnu"

  mkdir -p "$cache"
  exec {lock}>"$cache/chromium.lock"
  flock --timeout 600 "$lock" || fail 'another install has not ended within ten minutes'
  # The other one may have done it all.
  if ! installed; then
    staging=$(mktemp -d "$cache/staging.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    : >"$log"
    unpack
    write_script
    logged "$staging/chromium/chromium" --version
    version=$(dpkg-deb --field "$staging"/apt/cache/archives/"$package"_*.deb Version)
    # The rename is what makes a half-done install invisible.
    mv "$staging/chromium" "$cache/chromium-$version"
    say "$version, took $SECONDS s"
    installed
  fi
fi
