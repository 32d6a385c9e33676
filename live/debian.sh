# Sourced by the installs that unpack Debian's packages. Nothing is installed: no root is needed.

# configure_apt DIRECTORY [OPTION VALUE]...: from here on, apt fetches into the directory with the machine's own
# sources and keys, of which /etc keeps none of the changes.
configure_apt() {
  local apt=$1 file
  shift
  mkdir -p "$apt"/{sources,lists/partial,cache/archives/partial}
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    [ -f "$file" ] || continue
    cp "$file" "$apt/sources"
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
    APT::Sandbox::User "$(id -un)" \
    "$@"
  export APT_CONFIG="$apt/apt.conf" DEBIAN_FRONTEND=noninteractive
}
