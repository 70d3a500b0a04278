#!/usr/bin/env bash
# Build the images from a clean copy of this work tree, run them as their own user on a root filesystem that is
# read-only, and check what README.md and docs/deployment.md say of them. With the argument `compose` it is
# docker-compose.yml that is run, under podman-compose, instead of the images alone.
#
# For root on a bare Debian 12: missing tools are installed with apt-get. All else, also the images, lives in one
# temporary folder, which is removed. Exit codes: 0 all checks passed, 1 one did not, and the last lines say what to do.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

readonly IMAGE=localhost/llm-orchestrator:check
readonly BACKEND_IMAGE=localhost/llm-orchestrator-backend:check
readonly USER_ID=10001
readonly GRPCURL=${GRPCURL:-grpcurl}
readonly PODMAN_COMPOSE=${PODMAN_COMPOSE:-podman-compose}
readonly PYTHON=${PYTHON:-python3}
readonly ENVOY=${ENVOY:-envoy}

what=${1:-image}
work=$(mktemp -d /var/tmp/check-image.XXXXXX)
containers=()
child=
timings=()
base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)
base_origin=pulled
untried=()
prometheus=()

clean_up() {
  trap '' INT TERM
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  [ "$what" != compose ] || clean_up_compose
  for id in "${containers[@]}"; do
    timeout 60 podman rm --force --time 0 --volumes "$id" >/dev/null 2>&1 || true
  done
  # The deepest first; a build that was cut short leaves mounts behind.
  awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r |
    xargs -r umount --lazy || true
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
trap 'fail "line $LINENO: $BASH_COMMAND" "read the lines above, and run it by hand"' ERR

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
    timeout 20 podman logs --tail 20 "$id" 2>&1 | cut -c 1-300 || true
  done
  printf 'FAILED: %s\nWhat to do: %s\n' "$1" "$2"
  exit 1
}

# LIMIT_SECONDS LOG_NAME COMMAND...: run it with its output in a log, whose last line is shown now and then.
watched() {
  local limit=$1 log=$work/$2.log began=$SECONDS passed shown=0 status=0
  shift 2
  timeout --kill-after=10 "$limit" nice -n 10 "$@" >"$log" 2>&1 </dev/null &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.5
    passed=$((SECONDS - began))
    if ((passed >= shown + 10)); then
      shown=$passed
      printf '    %3d s: %s\n' "$passed" "$(tail -n 1 "$log" | cut -c 1-90)"
    fi
  done
  wait "$child" || status=$?
  child=
  ((status != 124)) || echo "    stopped after its limit of $limit s"
  return $status
}

# shellcheck source=deploy/check_image_build.sh
. deploy/check_image_build.sh
# shellcheck source=deploy/check_image_walls.sh
. deploy/check_image_walls.sh
# shellcheck source=deploy/check_image_run.sh
. deploy/check_image_run.sh
for part in stand_ins compose replicas pod tls; do
  # shellcheck source=/dev/null
  . "deploy/check_image_$part.sh"
done

command -v "$GRPCURL" >/dev/null || fail "grpcurl is missing" "start it by make image-check, or set GRPCURL"
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

if [ "$what" = compose ]; then
  step "stand-ins for images of others"
  prepare_compose
  done_with_step

  step "docker-compose.yml: three replicas, Postgres, Envoy, the backend, Prometheus"
  start_compose
  port=$(published envoy_1 50050)
  check_grpcurl
  check_the_backend
  ((${#prometheus[@]} == 0)) || check_prometheus
  done_with_step

  step "docker-compose.yml: killed, stopped and started again"
  check_rolling
  check_the_database_restarts_alone
  done_with_step

  step "deploy/kubernetes: the image as the Deployment starts it"
  run_as_pod
  compose down || fail "podman-compose down: $(tail -n 1 "$work/compose.log")" "read the line above"
  done_with_step

  step "deploy/compose.tls.yml: the same with TLS and tokens"
  run_with_tls
  done_with_step
else
  step "running with nothing configured: embedded Postgres and local model"
  run_with_nothing_configured
  done_with_step

  step "running with DATABASE_URL, as in docker-compose.yml, and the backend in front of it"
  run_with_a_database
  done_with_step

  step "running with the addresses that the image has"
  run_with_its_own_addresses
  done_with_step
fi

echo "All checks of $what passed, on a base image that was $base_origin. Time taken:"
printf '%s\n' "${timings[@]}"
if ((${#untried[@]} > 0)); then
  echo "Not tried:"
  printf '  %s\n' "${untried[@]}"
fi
