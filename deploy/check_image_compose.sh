# Part of check_image.sh: docker-compose.yml under podman-compose, in a project and in a store of its own.
# shellcheck shell=bash disable=SC2154 # the main script sets them

readonly PROJECT=check-image-$$
# Ports of this machine that are free, instead of those that docker-compose.yml names.
readonly FREE_PORTS='services:
  envoy:
    ports: !override ["127.0.0.1::50050"]
  backend:
    ports: !override ["127.0.0.1::8080"]
  prometheus:
    ports: !override ["127.0.0.1::9090"]'
compose_files=(-f docker-compose.yml -f deploy/compose.podman.yml -f free_ports.yml)

install_networking() {
  local apt=(apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends)
  if [ -x /usr/lib/podman/netavark ] && [ -x /usr/lib/podman/aardvark-dns ] && command -v iptables >/dev/null; then
    return
  fi
  watched 600 apt "${apt[@]}" netavark aardvark-dns iptables ||
    fail "apt-get: $(tail -n 1 "$work/apt.log")" "install netavark, aardvark-dns and iptables, and start again"
}

# A network of its own with names in it, and ulimits that a sandbox grants.
use_own_network() {
  sed -i '/^\[containers\]/a default_ulimits = ["nofile=1024:4096","nproc=4096:4096"]\nhttp_proxy = false' \
    "$work/containers.conf"
  printf '[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "%s"\n' "$work/networks" \
    >>"$work/containers.conf"
}

# With the modes of an ordinary checkout: users of containers read what is mounted.
make_project() {
  local hash
  mkdir "$work/project"
  git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- --ignore-failed-read --mode=u=rwX,go=rX 2>/dev/null |
    tar --extract --preserve-permissions --directory "$work/project"
  echo "$FREE_PORTS" >"$work/project/free_ports.yml"
  hash=$(echo only-a-try | timeout 60 "${RUN[@]}" --rm --interactive --network none "$BACKEND_IMAGE" \
    python -m backend hash-password 2>"$work/run.log" | tail -n 1)
  printf '%s\n' POSTGRES_PASSWORD=only-a-try BACKEND_TARGET=envoy:50050 TOOL_SERVICE_TOKEN=only-a-try-for-tools \
    USE_GRPC_TOOL_SERVICE=true "BACKEND_USERS='{\"ann\": {\"password\": \"$hash\"}}'" >"$work/project/.env"
}

prepare_compose() {
  untried+=("the profiles events and gpu, and Grafana: their images cannot be pulled everywhere"
    "Docker's own Compose; pre_stop; a replica's port of the range 50051-50053"
    "Kubernetes itself: probes, services, policies, the autoscaler, kustomize, deploy/kubernetes/tls")
  install_networking
  use_own_network
  make_stand_ins
  make_project
}

# ARGUMENTS...: podman-compose with every profile that is tried, and nothing of this machine's environment.
compose() {
  (cd "$work/project" && timeout 300 env -i PATH="$PATH" HOME="$work" TMPDIR="$TMPDIR" DISABLE_HC_SYSTEMD=true \
    CONTAINERS_CONF="$CONTAINERS_CONF" CONTAINERS_STORAGE_CONF="$CONTAINERS_STORAGE_CONF" \
    "$PODMAN_COMPOSE" -p "$PROJECT" "${compose_files[@]}" --profile backend --profile edge --profile observability \
    "$@" >"$work/compose.log" 2>&1)
}

# SERVICE_NUMBER
container() {
  podman ps --all --quiet --filter "name=^${PROJECT}_$1\$"
}

# SERVICE_NUMBER PORT: the port of this machine that it has.
published() {
  podman port "$(container "$1")" "$2/tcp" | sed 's/.*://'
}

# URL
page() {
  timeout 20 python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode())' \
    "$1" 2>&1 || true
}

# CONTAINERS...: SERVICE_NUMBER each, until all are healthy.
wait_for() {
  local name
  # shellcheck disable=SC2034 # fail shows their lines
  mapfile -t containers < <(podman ps --all --quiet)
  for name; do
    id=$(container "$name")
    [ -n "$id" ] || fail "no container of $name: $(tail -n 1 "$work/compose.log")" "read the line above"
    echo "    $name"
    wait_until_healthy 120
  done
}

start_compose() {
  compose up -d --no-build --scale llm-orchestrator=3 postgres llm-orchestrator backend envoy "${prometheus[@]}" ||
    fail "podman-compose: $(tail -n 3 "$work/compose.log")" "see that bridges and iptables work here"
  wait_for postgres_1 llm-orchestrator_{1,2,3} envoy_1 backend_1
  id=$(container llm-orchestrator_1)
  [ "$(timeout 20 podman exec "$id" getent ahostsv4 llm-orchestrator | awk '{ print $1 }' | sort -u | wc -l)" = 3 ] ||
    fail "the name llm-orchestrator has not three addresses" "see deploy/compose.podman.yml"
  ok "three replicas, Postgres, Envoy and the backend are healthy; the replicas' name has three addresses"
}

check_the_backend() {
  local said
  said=$(page "http://127.0.0.1:$(published backend_1 8080)/readyz")
  [[ $said == *'"orchestrator":"healthy"'* ]] || fail "the backend says: $said" "see BACKEND_TARGET in docker-compose.yml"
  ok "the backend reaches the service by Envoy: $said"
}

# Every replica by its own address, the backend and Envoy.
check_prometheus() {
  local began=$SECONDS said
  until [ "${said:-}" = "1 backend, 1 envoy, 3 llm-orchestrator" ]; do
    ((SECONDS - began < 90)) || fail "Prometheus scrapes: ${said:-nothing}" "see deploy/prometheus/compose.yml"
    sleep 1
    said=$(page "http://127.0.0.1:$(published prometheus_1 9090)/api/v1/targets?state=active" |
      grep -oE '"job":"[^"]*"},"scrapePool"|"health":"up"' | paste -sd ' ' |
      grep -oE '"job":"[^"]*"},"scrapePool" "health":"up"' | cut -d '"' -f 4 | sort | uniq -c |
      awk '{ print $1, $2 }' | paste -sd ',' | sed 's/,/, /g' || true) # before the first scrape nothing is up
  done
  ok "Prometheus scrapes $said"
}

# However it ended. All that it started has the project's name.
clean_up_compose() {
  local ids
  touch "$work/enough"
  [ -z "${calls:-}" ] || wait "$calls" || true
  mapfile -t ids < <(podman ps --all --quiet --filter "name=^$PROJECT")
  ((${#ids[@]} == 0)) || timeout 90 podman rm --force --time 0 --volumes "${ids[@]}" >/dev/null 2>&1 || true
  timeout 60 podman pod rm --force "pod_$PROJECT" >/dev/null 2>&1 || true
  timeout 60 podman network rm --force "${PROJECT}_default" >/dev/null 2>&1 || true
  mapfile -t ids < <(podman volume ls --quiet --filter "name=^$PROJECT")
  ((${#ids[@]} == 0)) || timeout 60 podman volume rm "${ids[@]}" >/dev/null 2>&1 || true
}
