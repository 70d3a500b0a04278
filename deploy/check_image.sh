#!/usr/bin/env bash
# Build the image from a clean copy of this work tree, run it as its own user, and check what README.md says of it.
#
# For root on a bare Debian 12: missing tools are installed with apt-get. All else, also the images, lives in one
# temporary folder, which is removed. Exit codes: 0 all checks passed, 1 one did not, and the last lines say what to do.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly IMAGE=localhost/llm-orchestrator:check
readonly USER_ID=10001
readonly STOP_SECONDS=40 # the stop_grace_period of docker-compose.yml
readonly RUN=(podman run --network host --http-proxy=false --ulimit nofile=1024:4096 --ulimit nproc=4096:4096)
# What docker-compose.yml sets while .env names no provider.
readonly NO_PROVIDER=(--env OPENAI_API_KEY= --env OPENAI_BASE_URL= --env ANTHROPIC_API_KEY=
  --env ORCHESTRATOR_PROVIDER__MODEL=)
readonly SERVE_A_DATABASE='
import asyncio, pathlib
from state.embedded.server import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(pathlib.Path(".data")) as postgres:
        print(postgres.dsn, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())'
readonly COUNT_RUNS='
import asyncio, pathlib, asyncpg
from state.embedded.server import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(pathlib.Path(".data")) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        print(await connection.fetchval("SELECT count(*) FROM orchestrator.runs"))
        await connection.close()

asyncio.run(main())'

work=$(mktemp -d /var/tmp/check-image.XXXXXX)
containers=()
child=
timings=()
base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)

clean_up() {
  trap '' INT TERM
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  for id in "${containers[@]}"; do
    timeout 60 podman rm --force --time 0 --volumes "$id" >/dev/null 2>&1 || true
  done
  # The deepest first; a build that was cut short leaves mounts behind.
  awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount --lazy
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

step() {
  echo "==> $1"
  step_name=$1 step_began=$SECONDS
}

done_with_step() {
  timings+=("$(printf '%4d s  %s' $((SECONDS - step_began)) "$step_name")")
}

ok() {
  echo "    ok: $*"
}

# WHAT FAILED, WHAT TO DO
fail() {
  for id in "${containers[@]}"; do
    echo "--- the last lines of container ${id:0:12}"
    timeout 20 podman logs --tail 20 "$id" 2>&1 || true
  done
  printf 'FAILED: %s\nWhat to do: %s\n' "$1" "$2"
  exit 1
}

# LIMIT_SECONDS LOG_NAME COMMAND...: run it with its output in a log, whose last line is shown now and then.
watched() {
  local limit=$1 log=$work/$2.log began=$SECONDS passed
  shift 2
  timeout --kill-after=10 "$limit" nice -n 10 "$@" >"$log" 2>&1 </dev/null &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.5
    passed=$((SECONDS - began))
    if ((passed >= ${shown:-0} + 10)); then
      shown=$passed
      printf '    %3d s: %s\n' "$passed" "$(tail -n 1 "$log" | cut -c 1-90)"
    fi
  done
  shown=
  local status=0
  wait "$child" || status=$?
  child=
  return $status
}

install_tools() {
  local missing=()
  for tool in buildah podman runc mmdebstrap git; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if ((${#missing[@]} == 0)); then
    ok "the tools are there"
    return
  fi
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}" "install them and start again"
  local apt=(apt-get -o DPkg::Lock::Timeout=300)
  export DEBIAN_FRONTEND=noninteractive
  if ! watched 400 apt "${apt[@]}" update ||
    ! watched 900 apt "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
    fail "apt-get: $(tail -n 1 "$work/apt.log")" "install ${missing[*]} and start again"
  fi
  ok "installed ${missing[*]}"
}

# An own store: no image, container or lock of this machine is seen or changed.
use_own_storage() {
  cat >"$work/containers.conf" <<END
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "$work/libpod-tmp"
END
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' \
    "$work/store" "$work/run" >"$work/storage.conf"
  export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
  export TMPDIR=$work DISABLE_HC_SYSTEMD=true
}

get_base() {
  local full=$base
  [[ $base == */* ]] || full=docker.io/library/$base
  if watched 300 pull buildah pull "$full"; then
    ok "pulled $base"
    return
  fi
  echo "    it cannot be pulled: $(tail -n 1 "$work/pull.log" | cut -c 1-200)"
  echo "    FALLBACK: making a stand-in from Debian packages under the name $base"
  # As in the official image: python and pip by these names, no EXTERNALLY-MANAGED, and an apt that caches nothing.
  # shellcheck disable=SC2016 # mmdebstrap gives the hook its argument
  watched 600 base mmdebstrap --variant=minbase --include=ca-certificates,python3-pip,python-is-python3 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED' \
    --customize-hook='rm -f "$1"/var/cache/apt/*.bin && printf "%s \"\";\n" Dir::Cache::pkgcache Dir::Cache::srcpkgcache \
      >"$1"/etc/apt/apt.conf.d/docker-clean' bookworm "$work/base.tar" ||
    fail "mmdebstrap: $(grep -m 1 '^E: ' "$work/base.log")" "see that the Debian mirror can be reached"
  watched 120 import podman import --change 'CMD ["python3"]' "$work/base.tar" "$full" ||
    fail "podman import: $(tail -n 1 "$work/import.log")" "see that /var/tmp has 3 GB of room"
  rm "$work/base.tar"
  ok "made $base from Debian packages: STAND-IN, not the official image"
}

pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  if [ -n "${!variable:-}" ]; then
    echo "${!variable}"
  else
    python3 -m pip config get "global.$1" 2>/dev/null || true
  fi
}

# pip's settings of this machine, in a folder that is root's home while the image is built and not in the image.
borrow_pip_settings() {
  local value
  mkdir -p "$work/home/.config/pip"
  printf '[global]\nprogress-bar = off\n' >"$work/home/.config/pip/pip.conf"
  for name in index-url extra-index-url trusted-host proxy default-timeout retries; do
    value=$(pip_setting "$name")
    [ -z "$value" ] || echo "$name = $value" >>"$work/home/.config/pip/pip.conf"
  done
  value=$(pip_setting cert)
  value=${value:-${REQUESTS_CA_BUNDLE:-}}
  if [ -n "$value" ]; then
    cp "$value" "$work/home/.config/pip/ca.pem"
    echo 'cert = /root/.config/pip/ca.pem' >>"$work/home/.config/pip/pip.conf"
  fi
}

build() {
  mkdir "$work/context"
  # Modes as under the strictest umask: the image may not depend on them.
  git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- --ignore-failed-read --mode=go= 2>/dev/null |
    tar --extract --preserve-permissions --directory "$work/context"
  borrow_pip_settings
  watched 1500 build buildah build --isolation chroot --network host --format docker --layers --pull-never \
    --volume "$work/home:/root:ro" --tag "$IMAGE" "$work/context" || {
    tail -n 30 "$work/build.log"
    fail "the Dockerfile does not build" "mend what the lines above say; first try a package registry in reach"
  }
  ok "built: $(($(podman image inspect --format '{{.Size}}' "$IMAGE") / 1000000)) MB, of which base image" \
    "$(($(podman image inspect --format '{{.Size}}' "$base") / 1000000)) MB"
}

check_nothing_is_left() {
  local root left
  root=$(podman image mount "$IMAGE")
  left=$(find "$root"/root/.config "$root"/etc/pip.conf "$root"/app/{tests,.git,.env} -maxdepth 0 2>/dev/null || true)
  podman image unmount "$IMAGE" >/dev/null
  [ -z "$left" ] || fail "in the image: $left" "keep it out: .dockerignore, or the build's mounts"
  ok "nothing of this machine's pip settings, of the tests or of git is in the image"
}

# ARGUMENTS...: start a container; its id is in $id.
start() {
  id=$(timeout 60 "${RUN[@]}" --detach "$@" 2>"$work/run.log") ||
    fail "podman run: $(tail -n 1 "$work/run.log")" "see that runc works on this kernel; as root?"
  containers+=("$id")
}

serve() {
  port=$(timeout 60 "${RUN[@]}" --rm "$IMAGE" python -c \
    'from state.embedded.launch import free_port; print(free_port())' 2>"$work/run.log") ||
    fail "podman run: $(tail -n 1 "$work/run.log")" "see that runc works on this kernel; as root?"
  start --env ORCHESTRATOR_SERVER__ADDRESS="127.0.0.1:$port" "$@" "$IMAGE"
}

is_running() {
  [ "$(podman inspect --format '{{.State.Running}}' "$id")" = true ]
}

# LIMIT_SECONDS: until the image's own HEALTHCHECK passes.
wait_until_healthy() {
  local began=$SECONDS
  until timeout 20 podman healthcheck run "$id" >/dev/null 2>&1; do
    ((SECONDS - began < $1)) || fail "not healthy after $1 s" "read the container's lines above"
    is_running || fail "the container has ended" "read its lines above"
    sleep 0.5
  done
  ok "its HEALTHCHECK passes after $((SECONDS - began)) s on 127.0.0.1:$port"
}

check_stream() {
  timeout 200 podman exec "$id" python test_grpc.py >"$work/test.log" 2>&1 || {
    cat "$work/test.log"
    fail "python test_grpc.py" "read the lines above"
  }
  ok "python test_grpc.py: $(paste -sd '|' "$work/test.log" | sed 's/|/; /g')"
}

check_user() {
  local users
  users=$(timeout 20 podman exec "$id" sh -c 'stat --format %u /proc/[0-9]*' 2>/dev/null | sort -u | paste -sd ' ')
  [ "$users" = "$USER_ID" ] || fail "processes of the users: $users" "see USER in the Dockerfile"
  ok "every process belongs to user $USER_ID, none to root"
}

check_loopback() {
  local open
  # 127.0.0.1, ::1 and 127.0.0.1 in IPv6 as the kernel writes them.
  open=$(awk -v user="$USER_ID" '$8 == user { print $2 }' /proc/net/tcp /proc/net/tcp6 |
    grep -Ev '^(0100007F|0{24}01000000|0{16}FFFF00000100007F):' | paste -sd ' ' || true)
  [ -z "$open" ] || fail "sockets that are not on loopback: $open" "see what listens or connects there"
  ok "every socket of user $USER_ID is on loopback"
}

volume() {
  podman inspect --format '{{range .Mounts}}{{if eq .Destination "/app/.data"}}{{.Source}}{{end}}{{end}}' "$id"
}

check_data_is_in_the_volume() {
  local folder
  folder=$(volume)
  [ -f "$folder/postgres/PG_VERSION" ] || fail "no database in the volume" "see VOLUME in the Dockerfile"
  [ "$(stat --format %u "$folder" "$folder/postgres" | sort -u)" = "$USER_ID" ] ||
    fail "the volume does not belong to user $USER_ID" "see the chown before VOLUME in the Dockerfile"
  ok "the database is in the volume of /app/.data and belongs to user $USER_ID"
}

# EXPECTED: how many runs the embedded database of this container holds.
check_runs() {
  local runs
  runs=$(timeout 60 podman exec "$id" python -c "$COUNT_RUNS" 2>&1 | tail -n 1)
  [ "$runs" = "$1" ] || fail "$1 runs expected in the database, but: $runs" "see what became of the volume"
  ok "runs in its database: $1"
}

restart() {
  timeout 60 podman start "$id" >/dev/null
  wait_until_healthy 60
}

kill_it() {
  local began=$SECONDS
  timeout 20 podman kill --signal KILL "$id" >/dev/null
  while is_running; do
    ((SECONDS - began < 20)) || fail "it outlives SIGKILL" "see the kernel's log"
    sleep 0.2
  done
  ok "killed with SIGKILL"
}

check_stop() {
  local began=$SECONDS code
  timeout $((STOP_SECONDS + 20)) podman stop --time "$STOP_SECONDS" "$id" >/dev/null 2>&1 || true
  code=$(podman inspect --format '{{.State.ExitCode}}' "$id")
  [ "$code" = 0 ] || fail "SIGTERM to process 1 ended with code $code (137: killed after $STOP_SECONDS s)" \
    "see the lines above: what does not stop?"
  ok "SIGTERM to process 1 ended it with code 0 after $((SECONDS - began)) s"
}

run_with_nothing_configured() {
  serve
  wait_until_healthy 120
  check_user
  check_stream
  check_loopback
  check_data_is_in_the_volume
  check_runs 1
  check_stop
  restart
  check_stream
  kill_it
  restart
  check_runs 2
  check_stop
}

run_with_a_database() {
  local dsn='' began=$SECONDS database
  start "$IMAGE" python -c "$SERVE_A_DATABASE"
  database=$id
  until [[ $dsn == postgresql://* ]]; do
    ((SECONDS - began < 60)) || fail "no database after 60 s" "read the container's lines above"
    sleep 0.5
    dsn=$(podman logs "$database" 2>/dev/null | tail -n 1)
  done
  serve --env DATABASE_URL="$dsn" "${NO_PROVIDER[@]}"
  wait_until_healthy 120
  check_user
  check_stream
  [ ! -e "$(volume)/postgres" ] || fail "it made a database of its own" "see how DATABASE_URL is read"
  ok "it made no database of its own"
  check_stop
  id=$database
  check_runs 1
}

[ "$(id -u)" = 0 ] || fail "not root" "start it as root: building in a chroot needs that"

step "tools"
install_tools
use_own_storage
done_with_step

step "base image $base"
get_base
done_with_step

step "building"
build
check_nothing_is_left
done_with_step

step "running with nothing configured: embedded Postgres and local model"
run_with_nothing_configured
done_with_step

step "running with DATABASE_URL, as in docker-compose.yml"
run_with_a_database
done_with_step

printf 'All checks of the image passed. Time taken:\n'
printf '%s\n' "${timings[@]}"
