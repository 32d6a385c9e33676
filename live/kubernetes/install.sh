#!/usr/bin/env bash
# Prints a directory with kube-apiserver and etcd: KUBEBUILDER_ASSETS where that is set, else one made of Debian's packages.
#
# Debian 12 has Kubernetes' source, whose kubectl alone it builds, the Go compiler that it takes, and etcd. The first run
# compiles for six minutes or more. Packages are unpacked, not installed: no root is needed, and all stays in the cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../debian.sh"

# Keep in step with VERSION in pipe-secrets-k8s/tests/live/process.rs.
version=1.20.2

cache="$HOME/.cache/pipe-live"
target="$cache/kubernetes-$version"
staging="$target.staging"
log="$target.log"

say() { printf 'kubernetes: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
complete() { [ -x "$1/kube-apiserver" ] && [ -x "$1/etcd" ]; }

# Runs a command with its output in the log, and shows the end of that when it fails.
logged() {
  "$@" >>"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  fail "$step failed, see $log"
}

begin() { step=$*; say "$step"; }

download() {
  begin 'reading the package lists'
  logged apt-get --quiet update
  begin 'downloading'
  mkdir "$staging"/{packages,root,source}
  (cd "$staging/packages" &&
    logged apt-get --quiet download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev etcd-server)
  (cd "$staging/source" && logged apt-get --quiet source --only-source kubernetes)
  local package
  for package in "$staging"/packages/*.deb; do
    logged dpkg-deb --extract "$package" "$staging/root"
  done
}

compile() {
  local source="$staging/go/src/k8s.io/kubernetes" reflect2=github.com/modern-go/reflect2
  mkdir -p "${source%/*}"
  mv "$staging"/source/kubernetes-*/ "$source"
  [ -d "$source/cmd/kube-apiserver" ] || fail 'the source package has no kube-apiserver'
  # Kubernetes' own copy, 1.0.1, corrupts memory when a Go later than 1.17 compiled it; Debian's is 1.0.2.
  rm "$source/vendor/$reflect2"/*.go
  cp "$staging/root/usr/share/gocode/src/$reflect2"/*.go "$source/vendor/$reflect2"
  # It copies a single file with it.
  sed -i 's/rsync -pc /cp -p /' "$source/hack/lib/golang.sh"

  begin 'compiling, which takes six minutes or more'
  mkdir "$staging"/{assets,tmp}
  # Nothing but the vendored sources, and no settings of the user's own Go.
  logged env --ignore-environment PATH="$staging/root/usr/lib/go-1.19/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME="$staging" TMPDIR="$staging/tmp" GOPATH="$staging/go" GOPROXY=off CGO_ENABLED=0 \
    make -C "$source" WHAT=cmd/kube-apiserver GOLDFLAGS='-s -w'

  cp "$source/_output/bin/kube-apiserver" "$staging/root/usr/bin/etcd" "$staging/assets"
  logged "$staging/assets/kube-apiserver" --version
  logged "$staging/assets/etcd" --version
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  complete "$KUBEBUILDER_ASSETS" || fail "KUBEBUILDER_ASSETS has no kube-apiserver and etcd: $KUBEBUILDER_ASSETS"
  printf '%s\n' "$KUBEBUILDER_ASSETS"
  exit
fi

if ! complete "$target"; then
  grep --quiet '^VERSION_CODENAME=bookworm$' /etc/os-release ||
    fail 'only Debian 12 has the sources: elsewhere, set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd'
  for command in apt-get dpkg-deb dpkg-source flock make; do
    command -v "$command" >/dev/null || fail "$command is missing: install the packages build-essential and util-linux"
  done

  mkdir -p "$cache"
  exec {lock}>"$target.lock"
  flock --nonblock "$lock" || { say 'waiting for another install'; flock --timeout 3600 "$lock"; } ||
    fail 'another install has not ended within an hour'
  # The other one may have done it all.
  if ! complete "$target"; then
    # What is there belongs to an install that was killed.
    rm -rf "$staging" "$target"
    trap 'rm -rf "$staging"' EXIT
    mkdir "$staging"
    : >"$log"
    configure_apt "$staging/apt"
    # Sources too.
    sed -i -E '/^deb-src\s/d; s/^deb(\s.*)/&\ndeb-src\1/; s/^Types:.*/Types: deb deb-src/I' "$staging"/apt/sources/*
    download
    compile
    # The rename is what makes a half-done install invisible.
    mv "$staging/assets" "$target"
    say "$("$target/kube-apiserver" --version), took $SECONDS s"
  fi
fi

printf '%s\n' "$target"
