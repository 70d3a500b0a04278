#!/usr/bin/env bash
# llama.cpp needs libgomp.so.1, which every machine with a C compiler has and a bare one may not.
set -euo pipefail

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing libgomp1, which the local model needs"
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  exec apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends libgomp1
fi
echo "The local model needs libgomp.so.1: install libgomp1 (Debian, Ubuntu) or libgomp (Fedora, Alpine)," >&2
echo "or set OPENAI_API_KEY and run: make serve" >&2
exit 1
