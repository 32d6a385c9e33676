#!/usr/bin/env bash
# Runs Infisical's official SDK for Python against the fake server of pipe-testkit.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=1.0.18

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

command -v python3 >/dev/null || fail 'python3 is missing: install Python 3 with pip'

cache="$HOME/.cache/pipe-live"
target="$cache/infisicalsdk-$version"
if [ ! -d "$target/infisical_sdk" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  python3 -m pip install --quiet --no-input --target "$staging/packages" "infisicalsdk==$version" >&2 ||
    fail 'pip could not install infisicalsdk'
  # The rename is what makes a half-done install invisible. It fails when another install was quicker.
  mv -T "$staging/packages" "$target" 2>/dev/null || [ -d "$target/infisical_sdk" ] ||
    fail "cannot move the packages to $target"
fi

cargo build --quiet -p pipe-testkit --features fake --example fake_infisical
PYTHONPATH="$target" python3 live/infisical-sdk/check.py "${CARGO_TARGET_DIR:-target}/debug/examples/fake_infisical"
