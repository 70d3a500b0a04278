# Part of check_image.sh: deploy/compose.tls.yml, with the certificates that docs/deployment.md makes.
# shellcheck shell=bash disable=SC2154 # the main script sets them

# NAME: a static token, in $made; its line is added to the identities.
add_token() {
  local said
  said=$(timeout 60 "${RUN[@]}" --rm --network none "$IMAGE" python main.py token "$1" --for '*' 2>"$work/run.log") ||
    fail "main.py token: $(tail -n 1 "$work/run.log")" "see docs/identity.md"
  made=$(sed -n 2p <<<"$said")
  tail -n 1 <<<"$said" >>"$work/tls/identities.toml"
}

make_certificates() {
  mkdir "$work/tls"
  awk '/^## With TLS/ { found = 1 } found && /^```$/ { exit } inside { print } found && /^```sh/ { inside = 1 }' \
    docs/deployment.md >"$work/certificates.sh"
  (cd "$work/tls" && bash -euo pipefail "$work/certificates.sh") >"$work/tls.log" 2>&1 ||
    fail "the commands of docs/deployment.md: $(tail -n 1 "$work/tls.log")" "see With TLS there; openssl is needed"
  mv "$work/tls/ca.key" "$work/ca.key"
  echo '[tokens]' >"$work/tls/identities.toml"
  add_token backend
  printf '%s\n' "TLS_FOLDER=$work/tls" "BACKEND_TOKEN=$made" >>"$work/project/.env"
  add_token somebody
  token=$made
  "$PYTHON" -m deploy.envoy_at 0.0.0.0:50050 --replica llm-orchestrator:50051 --watching 0.0.0.0:9902 \
    --admin 127.0.0.1:9901 --tls /etc/orchestrator-tls >"$work/tls/envoy.yaml"
  # The folder is for user 10001 and for nobody else.
  chown -R "$USER_ID:$USER_ID" "$work/tls"
  chmod 500 "$work/tls"
  chmod 400 "$work"/tls/*
}

# ARGUMENTS...: GetServerInfo at $port, by the CA and a name of the certificate; what is said is in $said.
ask() {
  said=$(timeout 30 "$GRPCURL" -cacert "$work/tls/ca.crt" "$@" "localhost:$port" \
    orchestrator.OrchestratorService/GetServerInfo 2>&1 || true)
}

# WHO: at $port somebody with the token is answered, and others are not.
check_callers() {
  local protos=(-import-path "$work/project" -proto protos/orchestrator.proto) said
  ask "${protos[@]}" -H "authorization: Bearer $token"
  grep -q '"version"' <<<"$said" || fail "$1, with a token: $said" "read the containers' lines above"
  ask "${protos[@]}"
  grep -q 'Unauthenticated' <<<"$said" || fail "$1, without a token: $said" "see docs/identity.md"
  ask "${protos[@]}" -H "authorization: Bearer ${token}x"
  grep -q 'Unauthenticated' <<<"$said" || fail "$1, with a wrong token: $said" "see docs/identity.md"
  said=$(timeout 30 "$GRPCURL" -plaintext "${protos[@]}" -connect-timeout 5 "localhost:$port" \
    orchestrator.OrchestratorService/GetServerInfo 2>&1 || true)
  ! grep -q '"version"' <<<"$said" || fail "$1 answers without TLS" "see ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT"
  ok "$1: answered with the token; UNAUTHENTICATED without and with a wrong one; nothing without TLS"
}

run_with_tls() {
  make_certificates
  compose_files+=(-f deploy/compose.tls.yml)
  compose up -d --no-build postgres llm-orchestrator backend envoy ||
    fail "podman-compose: $(tail -n 3 "$work/compose.log")" "see deploy/compose.tls.yml"
  wait_for postgres_1 llm-orchestrator_1 backend_1 envoy_1
  port=$(published llm-orchestrator_1 50051)
  check_callers "a replica"
  port=$(published envoy_1 50050)
  check_callers "Envoy"
  check_the_backend
}
