# Part of check_image.sh: the image runs, and what is checked meanwhile.
# shellcheck shell=bash disable=SC2154 # the main script sets them

readonly STOP_SECONDS=40 # the stop_grace_period of docker-compose.yml
# As little may be written, and done, as docker-compose.yml allows.
readonly RUN=(podman run --http-proxy=false --ulimit nofile=1024:4096 --ulimit nproc=4096:4096
  --read-only --read-only-tmpfs=false --tmpfs "/tmp:rw,noexec,nosuid,nodev,size=64m"
  --cap-drop all --security-opt no-new-privileges)
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

# ARGUMENTS...: start a container; its id is in $id.
start() {
  id=$(timeout 60 "${RUN[@]}" --detach "$@" 2>"$work/run.log") ||
    fail "podman run: $(tail -n 1 "$work/run.log")" "see that runc works on this kernel; as root?"
  containers+=("$id")
}

# Three ports of this machine that are free: $port, $metrics_port and $backend_port.
find_ports() {
  local found
  found=$(timeout 60 "${RUN[@]}" --network host --rm "$IMAGE" python -c \
    'from state.embedded.launch import free_port; print(free_port(), free_port(), free_port())' 2>"$work/run.log") ||
    fail "podman run: $(tail -n 1 "$work/run.log")" "see that runc works on this kernel; as root?"
  read -r port metrics_port backend_port <<<"$found"
}

serve() {
  find_ports
  start --network host --env ORCHESTRATOR_SERVER__ADDRESS="127.0.0.1:$port" \
    --env ORCHESTRATOR_METRICS__ADDRESS="127.0.0.1:$metrics_port" "$@" "$IMAGE"
}

is_running() {
  [ "$(podman inspect --format '{{.State.Running}}' "$id" 2>>"$work/run.log")" = true ]
}

# LIMIT_SECONDS: until the image's own HEALTHCHECK passes.
wait_until_healthy() {
  local began=$SECONDS
  until timeout 20 podman healthcheck run "$id" >/dev/null 2>&1; do
    ((SECONDS - began < $1)) || fail "not healthy after $1 s" "read the container's lines above"
    is_running || fail "the container has ended" "read its lines above"
    sleep 0.5
  done
  ok "its HEALTHCHECK passes after $((SECONDS - began)) s"
}

check_stream() {
  timeout 200 podman exec "$id" python test_grpc.py >"$work/test.log" 2>&1 || {
    cat "$work/test.log"
    fail "python test_grpc.py" "read the lines above"
  }
  ok "python test_grpc.py: $(paste -sd '|' "$work/test.log" | sed 's/|/; /g')"
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
  runs=$(timeout 60 podman exec "$id" python -c "$COUNT_RUNS" 2>&1 | tail -n 1 || true)
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

check_grpcurl() {
  local said
  said=$(timeout 30 "$GRPCURL" -plaintext "127.0.0.1:$port" orchestrator.OrchestratorService/HealthCheck 2>&1 || true)
  grep -q '"status": "healthy"' <<<"$said" || fail "grpcurl: $said" "read the container's lines above"
  said=$(timeout 120 "$GRPCURL" -plaintext -d '{"user_id": "grpcurl", "query": "Say hello."}' "127.0.0.1:$port" \
    orchestrator.OrchestratorService/StreamChat 2>&1 || true)
  grep -q '"type": "complete"' <<<"$said" || fail "grpcurl: $(tail -n 3 <<<"$said")" "read the container's lines above"
  ok "grpcurl from outside: HealthCheck says healthy, StreamChat ends with complete"
}

check_metrics() {
  local found
  found=$(timeout 20 python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())' \
    "http://127.0.0.1:$metrics_port/metrics" 2>&1 || true)
  grep -q '^orchestrator_active_runs 0' <<<"$found" || fail "metrics: $(tail -n 1 <<<"$found")" "see docs/metrics.md"
  ok "metrics can be scraped at ORCHESTRATOR_METRICS__ADDRESS"
}

run_with_nothing_configured() {
  serve
  wait_until_healthy 120
  check_user
  check_read_only
  check_stream
  check_grpcurl
  check_metrics
  check_loopback
  check_data_is_in_the_volume
  check_runs 2
  check_stop
  restart
  check_stream
  kill_it
  restart
  check_runs 3
  check_stop
}

run_with_a_database() {
  local dsn='' began=$SECONDS database
  start --network host "$IMAGE" python -c "$SERVE_A_DATABASE"
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
  run_the_backend "$dsn"
  check_stop
  id=$database
  check_runs 1
}

# DSN: the reference backend in front of the service at $port, with its tools in the same database.
run_the_backend() {
  local service=$id said
  start --network host --env BACKEND_SERVER__ADDRESS="127.0.0.1:$backend_port" --env BACKEND_STORE__DSN="$1" \
    --env BACKEND_ORCHESTRATOR__TARGET="127.0.0.1:$port" --env BACKEND_TOOL_SERVICE__ADDRESS=127.0.0.1:0 \
    --env BACKEND_ORG__ROOT=/app/.data/org "$BACKEND_IMAGE"
  wait_until_healthy 60
  check_user
  check_read_only
  said=$(timeout 20 python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())' \
    "http://127.0.0.1:$backend_port/readyz" 2>&1 || true)
  [[ $said == *'"orchestrator":"healthy"'* ]] || fail "the backend says: $said" "read its lines above"
  ok "the backend reaches the service: $said"
  check_stop
  id=$service
}

# Without a network: only the addresses of the Dockerfile, and nobody who could reach them.
run_with_its_own_addresses() {
  start --network none --env ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT=true "$IMAGE"
  wait_until_healthy 120
  check_what_is_open
  check_stop
}
