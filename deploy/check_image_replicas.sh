# Part of check_image.sh: replicas and Postgres are killed, stopped and restarted while others go on.
# shellcheck shell=bash disable=SC2154 # the main script sets them

# On a connection of its own.
call() {
  timeout 20 "$GRPCURL" -plaintext "127.0.0.1:$port" orchestrator.OrchestratorService/GetServerInfo >"$work/call.log" 2>&1
}

# In the background, one after another, until $work/enough is there. Only a call that was on its way to a replica when
# that was killed may fail, once: then its caller connects anew.
keep_calling() {
  until [ -e "$work/enough" ]; do
    if call; then
      echo ok
    elif call; then
      echo "ok by the second"
    else
      echo "failed: $(tail -n 1 "$work/call.log")"
    fi
  done >"$work/calls"
}

come_back() {
  timeout 20 podman start "$id" >/dev/null
  wait_until_healthy 60
}

check_rolling() {
  local name
  keep_calling &
  calls=$!
  sleep 1
  id=$(container llm-orchestrator_2)
  kill_it
  sleep 3
  come_back
  for name in llm-orchestrator_1 llm-orchestrator_3; do
    sleep 3 # until Envoy sends calls to the one before
    id=$(container $name)
    check_stop
    come_back
  done
  touch "$work/enough"
  wait "$calls"
  calls=
  ! grep -q failed "$work/calls" ||
    fail "calls: $(sort "$work/calls" | uniq -c | paste -sd ' ')" "see deploy/envoy/envoy.yaml"
  ok "one replica killed, the others stopped, all started again: $(wc -l <"$work/calls") calls by Envoy, none failed," \
    "$(grep -c second "$work/calls" || true) by a second connection"
}

# When each but Postgres was started.
began() {
  podman ps --all --filter "name=^${PROJECT}_" --format '{{.Names}} {{.StartedAt}}' |
    grep -E '_(llm-orchestrator|backend|envoy)_[0-9]' | sort
}

check_the_database_restarts_alone() {
  local before
  before=$(began)
  id=$(container postgres_1)
  timeout 90 podman restart --time 60 "$id" >/dev/null
  wait_until_healthy 60
  id=$(container llm-orchestrator_1)
  wait_until_healthy 60
  check_stream
  [ "$before" = "$(began)" ] || fail "others were restarted with Postgres" "see depends_on in docker-compose.yml"
  ok "Postgres was restarted, and nothing else"
}
