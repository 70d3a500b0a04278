#!/usr/bin/env bash
# Generates the stubs of protos/*.proto into FOLDER/protos (default: the repository), and the client package's copy of
# them into FOLDER/client/llm_orchestrator_client/protos. Run by `make protos`.
#   protos/generate.sh [FOLDER]
# PROTOS_PYTHON: path of a python with requirements-protos.txt installed (default .venv-protos/bin/python).
set -euo pipefail

root=$(dirname "$0")/..
mkdir -p "${1:-$root}/protos"
folder=$(cd "${1:-$root}" && pwd)
# Compiled from the root with -I., the stubs say `from protos import ...`.
cd "$root"
python=${PROTOS_PYTHON:-.venv-protos/bin/python}
plugins=$(dirname "$python")

if ! "$python" -c 'import grpc_tools' 2>/dev/null; then
  echo "protos/generate.sh: no grpcio-tools in $python: install requirements-protos.txt there" >&2
  exit 1
fi

# mypy-protobuf's own gencode is one major version behind its runtime, and says so on every run.
PYTHONWARNINGS=ignore "$python" -m grpc_tools.protoc -I. \
  --plugin="protoc-gen-mypy=$plugins/protoc-gen-mypy" \
  --plugin="protoc-gen-mypy_grpc=$plugins/protoc-gen-mypy_grpc" \
  --python_out="$folder" --grpc_python_out="$folder" \
  --mypy_out="quiet:$folder" --mypy_grpc_out="quiet:$folder" \
  protos/*.proto

for stub in "$folder"/protos/*_pb2_grpc.pyi; do
  # A stub class is generic in one constrained TypeVar per RPC, and mypy checks its body once per combination:
  # 2^31 for ToolService. Nobody may ask it to, whatever their configuration says.
  # The servicers are concrete at run time and answer UNIMPLEMENTED, so a partial one is no type error.
  sed -i.orig -e '1i\
# mypy: ignore-errors
' -e '/^ *@abc\.abstractmethod$/d' "$stub"
  rm "$stub.orig"
done

# The copy is the same contract under another import path. It keeps the .proto's file name, by which the descriptor
# pool knows it: a process may import both, and they are then the same classes.
copy=$folder/client/llm_orchestrator_client/protos
mkdir -p "$copy"
for stub in "$folder"/protos/*_pb2*.py*; do
  sed -E -e 's/^from protos import /from llm_orchestrator_client.protos import /' \
    -e 's/(^|[^A-Za-z0-9_.])protos\.([a-z_]+_pb2)/\1llm_orchestrator_client.protos.\2/g' \
    "$stub" >"$copy/${stub##*/}"
done
