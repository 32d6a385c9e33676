#!/usr/bin/env bash
# Installs the real Cognee server from PyPI and prints the path of its Python.
set -euo pipefail

version=1.6.5

cache="$HOME/.cache/pipe-live"
target="$cache/cognee-$version"

if [ ! -e "$target/installed" ]; then
  mkdir -p "$cache"
  # A virtual environment cannot be moved, so the file `installed` is what makes a half-done install invisible.
  exec 9>"$target.lock"
  flock 9
  if [ ! -e "$target/installed" ]; then
    rm -rf "$target"
    trap '[ -e "$target/installed" ] || rm -rf "$target"' EXIT
    python3 -m venv "$target" >&2
    # pip's resolver takes minutes for this tree, that of uv seconds.
    "$target/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --quiet "uv>=0.8,<1" >&2
    # langdetect is the one package without a wheel.
    "$target/bin/uv" pip install --quiet --no-cache --only-binary :all: --no-binary langdetect \
      --python "$target/bin/python" "cognee==$version" >&2
    "$target/bin/python" -c 'import importlib.metadata as m; print("cognee", m.version("cognee"))' >&2
    touch "$target/installed"
  fi
fi

printf '%s\n' "$target/bin/python"
