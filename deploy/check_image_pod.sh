# Part of check_image.sh: the image as the Deployment of deploy/kubernetes starts it, without Kubernetes.
# shellcheck shell=bash disable=SC2154 # the main script sets them

# Keys of nobody: the service starts with providers that it cannot ask.
readonly SECRET=(--env DATABASE_URL=postgresql://orchestrator:only-a-try@postgres:5432/orchestrator
  --env OPENAI_API_KEY=only-a-try --env ANTHROPIC_API_KEY=only-a-try)

# CONTAINER OF THE POD, ARGUMENTS...: start it; its id is in $id.
start_as_pod() {
  local told options=() argument options_end=
  told=$("$PYTHON" -m deploy.as_pod "$1" "$work/pod")
  shift
  local command=()
  while IFS= read -r argument; do
    if [ -z "$argument" ]; then
      options_end=yes
    elif [ -z "$options_end" ]; then
      options+=("$argument")
    else
      command+=("$argument")
    fi
  done <<<"$told"
  id=$(timeout 60 podman run --http-proxy=false --detach --network "${PROJECT}_default" "${options[@]}" "${SECRET[@]}" \
    "$@" "$IMAGE" "${command[@]}" 2>"$work/run.log") ||
    fail "podman run: $(tail -n 1 "$work/run.log")" "see deploy/kubernetes/base/deployment.yaml"
  containers+=("$id")
}

run_as_pod() {
  local code
  mkdir -p "$work/pod/files"
  # As kubelet gives them to fsGroup.
  install -d -g "$USER_ID" -m 2777 "$work/pod/tmp" "$work/pod/data"
  install -m 644 deploy/kubernetes/base/providers.toml "$work/pod/files/"
  start_as_pod migrate --name "${PROJECT}_migrate"
  code=$(timeout 120 podman wait "$id" 2>>"$work/run.log")
  [ "$code" = 0 ] || fail "migrate ended with code $code" "read its lines above"
  ok "the init container migrates"
  start_as_pod llm-orchestrator --name "${PROJECT}_pod"
  wait_until_healthy 120
  check_user
  check_read_only
  check_stop
  ok "the pod's container starts in production with the ConfigMap's files, as its securityContext says"
}
