# To be sourced from the root of the repository: a Docker Engine, the image from the real Dockerfile in it, and a program that
# starts it as GitHub's runner does. `$work` is a directory for the time of the script; containers whose ids are put into
# `containers`, and a network named in `network`, go with it.

die() {
  echo "container: FAILED: $*"
  exit 1
}

# Debian's packages, where one of them is what is missing.
install() {
  sudo=
  [ "$(id -u)" = 0 ] || sudo='sudo -n'
  command -v apt-get >/dev/null || die "$1 is not installed, and there is no apt-get to install it"
  if ! { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "$1"; } >/dev/null; then
    die "$1 is not installed, and could not be installed"
  fi
}

# Whether a program needs shared libraries. Of a static one `ldd` says so, or fails, by how it is linked.
dynamic() {
  ldd "$1" 2>/dev/null | grep -q '=>'
}

work=$(mktemp -d)
engine=
cleanup() {
  status=$?
  trap - EXIT
  # An engine of our own takes its containers and images with it.
  if [ -n "${containers[*]:-}" ]; then docker rm --force "${containers[@]}" >/dev/null 2>&1 || true; fi
  if [ -n "${network:-}" ]; then docker network rm "$network" >/dev/null 2>&1 || true; fi
  if [ -n "${image:-}" ]; then docker image rm --force "$image" "$base" >/dev/null 2>&1 || true; fi
  if [ -n "$engine" ]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    # Where it is killed in time it leaves a mount behind.
    umount "$work"/engine/exec/netns/* 2>/dev/null || true
  fi
  rm -rf "$work" || echo "container: could not remove all of $work"
  exit "$status"
}
trap cleanup EXIT
containers=()

start_engine() {
  [ "$(id -u)" = 0 ] || die "no Docker Engine answers, and only root can start one"
  command -v dockerd >/dev/null || install docker.io
  mkdir -p "$work/engine"
  export DOCKER_HOST=unix://$work/engine/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$work/engine/data" --exec-root "$work/engine/exec" \
    --pidfile "$work/engine/pid" "$@" >"$work/engine/log" 2>&1 &
  engine=$!
  for _ in $(seq 150); do
    docker version >/dev/null 2>&1 && return
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.2
  done
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  engine=
  return 1
}

command -v docker >/dev/null || install docker.io
if ! docker version >/dev/null 2>&1; then
  # Where the kernel lets nobody make bridges, containers without a network of their own are enough for this test.
  start_engine || start_engine --bridge=none --iptables=false --ip6tables=false || {
    tail -n 15 "$work/engine/log"
    die "this machine refuses a Docker Engine (its log is above); ENVSYNC_SKIP_CONTAINER=1 leaves this test out"
  }
fi
# A client newer than Debian's needs the buildx plugin; Debian's own has BuildKit built in.
export DOCKER_BUILDKIT=1
docker=docker
if ! docker buildx version >/dev/null 2>&1 && [ -x /usr/bin/docker ]; then docker=/usr/bin/docker; fi

[ -x /bin/busybox ] || command -v busybox >/dev/null || install busybox-static
busybox=$(command -v busybox || echo /bin/busybox)
if dynamic "$busybox"; then
  install busybox-static
  busybox=/bin/busybox
fi
bundle=/etc/ssl/certs/ca-certificates.crt
[ -s "$bundle" ] || install ca-certificates

# Builds `$image` with the binary of a release, from the directory where .ci/binary has put it; without one it makes it.
build_image() {
  built=${1:-}
  if [ -z "$built" ]; then
    built=$work/built
    .ci/binary "$built" >/dev/null
  fi
  binary=$built/envsync
  if dynamic "$binary"; then die "$binary is not static"; fi

  tag=envsync-test-$$
  base=$tag:base
  image=$tag:image
  mkdir -p "$work/base/bin" "$work/context"
  cp "$busybox" "$work/base/bin/busybox"
  "$busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$work/base/bin/$applet"
  done
  tar -C "$work/base" -c . | docker import - "$base" >/dev/null

  # The engine names the machine as Debian does, but for a few.
  machine=$(docker version --format '{{.Server.Arch}}')
  mkdir "$work/context/$machine"
  cp "$binary" "$work/context/$machine/envsync"
  ln -s envsync "$work/context/$machine/envsync-cleanup"
  cp "$bundle" "$work/context/ca-certificates.crt"
  "$docker" build --quiet --file Dockerfile --build-arg BINARY=given --build-arg BASE_IMAGE="$base" --tag "$image" \
    "$work/context" >/dev/null || die "the image does not build"
}

# write_starter FILE NETWORK: as GitHub's runner starts a container action (actions/runner, DockerCommandManager.cs). Variables go
# by name only, their values from the environment of the client; whole values that are a path of the host's, or lie below
# one, as the container has it.
write_starter() {
  mkdir -p "$work/github_home" "$work/github_workflow"
  cat >"$1" <<STARTER
#!/bin/bash
# Takes the program's name; everything else is its environment.
program=/usr/local/bin/\$1
engine=${DOCKER_HOST:-}
names=()
workspace=\$GITHUB_WORKSPACE
commands=\${GITHUB_OUTPUT%/*}
while IFS= read -r -d '' pair; do
  name=\${pair%%=*} value=\${pair#*=}
  case \$name in PWD | SHLVL | _) continue ;; esac
  case \$value in
    "\$workspace" | "\$workspace"/*) value=/github/workspace\${value#"\$workspace"} ;;
    "\$commands" | "\$commands"/*) value=/github/file_commands\${value#"\$commands"} ;;
    "\$RUNNER_TEMP" | "\$RUNNER_TEMP"/*) value=/github/runner_temp\${value#"\$RUNNER_TEMP"} ;;
  esac
  [ "\$name" != HOME ] || value=/github/home
  names+=("\$name=\$value")
done < <(/usr/bin/env -0)
flags=()
for pair in "\${names[@]}"; do flags+=(-e "\${pair%%=*}"); done
exec /usr/bin/env -i "\${names[@]}" DOCKER_HOST="\$engine" "$(command -v docker)" run --rm --label envsync-test --workdir /github/workspace \\
  "\${flags[@]}" -e GITHUB_ACTIONS=true -e CI=true --entrypoint "\$program" --network $2 \\
  -v "\$RUNNER_TEMP:/github/runner_temp" -v "$work/github_home:/github/home" -v "$work/github_workflow:/github/workflow" \\
  -v "\$commands:/github/file_commands" -v "\$workspace:/github/workspace" \\
  "$image"
STARTER
  chmod +x "$1"
}
