#!/usr/bin/env bash
# Downloads the binary of a release for this system, compares its checksum with the one of the release, and puts it on PATH.
# Called by action.yml beside it; what it needs comes in variables, none in its arguments.
#
# A release of a repository has `envsync-VERSION-SYSTEM-MACHINE.tar.gz` for each system, and `SHA256SUMS` for all of them.
set -euo pipefail

fail() {
  echo "::error title=EnvSync::$1"
  exit 1
}

case ${ENVSYNC_SETUP_SYSTEM:-} in
  Linux) system=linux ;;
  macOS) system=macos ;;
  Windows) fail "there is no EnvSync for Windows: use a Linux or macOS runner, or hand the values over from a job on one" ;;
  *) fail "the runner's system '${ENVSYNC_SETUP_SYSTEM:-}' is not known: EnvSync is there for Linux and macOS" ;;
esac
case ${ENVSYNC_SETUP_MACHINE:-} in
  X64) machine=amd64 ;;
  ARM64) machine=arm64 ;;
  *) fail "the runner's machine '${ENVSYNC_SETUP_MACHINE:-}' is not supported: EnvSync is there for X64 and ARM64" ;;
esac
version=${ENVSYNC_SETUP_VERSION:-}
if [ -z "$version" ]; then
  version=${ENVSYNC_SETUP_REF:-}
  # A branch, a commit or a major tag names no release.
  [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] ||
    fail "give \`version\`, such as v1.2.3: '$version', with which this action was called, is not the tag of a release"
fi
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "\`version\` is '$version', and should be like v1.2.3"
repository=${ENVSYNC_SETUP_REPOSITORY:-}
[[ $repository =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] || fail "this action was not called from a repository (it is '$repository')"

name=envsync-$version-$system-$machine
place=${RUNNER_TEMP:?}/envsync-$version
mkdir -p "$place"
cd "$place"

# The token goes by standard input: arguments are seen by every process of the machine.
download() {
  printf 'header = "Authorization: Bearer %s"\n' "${ENVSYNC_SETUP_TOKEN:-}" |
    curl --config - --silent --show-error --fail --location --retry 4 --retry-connrefused --connect-timeout 10 --max-time 120 \
      --output "$1" "${ENVSYNC_SETUP_SERVER:-https://github.com}/$repository/releases/download/$version/$1" ||
    fail "couldn't download $1 of release $version of $repository: check that there is such a release"
}
download SHA256SUMS
download "$name.tar.gz"

# Exactly one line for this file, whatever else the list holds.
expected=$(awk -v file="$name.tar.gz" '$2 == file || $2 == "*" file { print $1 }' SHA256SUMS)
[[ $expected =~ ^[0-9a-f]{64}$ ]] || fail "SHA256SUMS of release $version has no checksum, or several, for $name.tar.gz"
if command -v sha256sum >/dev/null; then actual=$(sha256sum "$name.tar.gz"); else actual=$(shasum -a 256 "$name.tar.gz"); fi
[ "${actual%% *}" = "$expected" ] || fail "the checksum of $name.tar.gz is not the one of release $version: nothing was installed"

mkdir -p bin
tar -xzf "$name.tar.gz" -C bin envsync
said=$(bin/envsync --version) || fail "the binary of release $version does not start here"
echo "$place/bin" >>"${GITHUB_PATH:?}"
printf 'version=%s\npath=%s\n' "${said#envsync }" "$place/bin/envsync" >>"${GITHUB_OUTPUT:?}"
echo "$said is on PATH"
