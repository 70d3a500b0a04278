#!/usr/bin/env bash
# The model of the protocol is checked by SPIN, which writes a C program that has to be compiled.
set -euo pipefail

if command -v spin >/dev/null && command -v cc >/dev/null; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing spin and gcc, which check the model of the protocol"
  # gcc alone has no C library to compile against when recommendations are left out.
  if apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends spin gcc libc6-dev; then
    exit 0
  fi
fi
echo "SPIN and a C compiler are needed to check the model of the protocol: install spin, gcc and libc6-dev" >&2
echo "(Debian, Ubuntu). Without them its tests are skipped." >&2
[ -z "${CI:-}" ]
