#!/usr/bin/env bash
# Holds the contract: style, no breaking change against any released image, stubs up to date. Prints one line
# per check and stops at the first that fails.
# A release adds its image: buf build --exclude-source-info -o protos/released/VERSION.binpb
# BUF, PROTOS_PYTHON: where the tools are (defaults .venv/bin/buf, .venv-protos/bin/python).
set -euo pipefail

cd "$(dirname "$0")/.."
buf=${BUF:-.venv/bin/buf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME ADVICE COMMAND...: runs the command, shows its output only when it fails.
check() {
  local name=$1 advice=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    echo "ok      $name"
  else
    echo "$output" >&2
    echo "FAILED  $name: $advice"
    exit 1
  fi
}

stubs_match() {
  protos/generate.sh "$work/fresh" || return 1
  local folder
  for folder in protos client/llm_orchestrator_client/protos; do
    mkdir -p "$work/committed/$folder"
    cp "$folder"/*_pb2*.py* "$work/committed/$folder"
  done
  diff --brief --recursive "$work/committed" "$work/fresh"
}

check "lint" "change the .proto as buf says" "$buf" lint
for image in protos/released/*.binpb; do
  check "nothing that ${image##*/} promised is broken" \
    "callers of that release exist: take the change back and add a field or an RPC instead" \
    "$buf" breaking --against "$image"
done
check "stubs are up to date" "run make protos and commit the result" stubs_match
