#!/usr/bin/env bash
# Chaos gives processes a time of day of their own by libfaketime. Without it that fault is left out.
set -euo pipefail

if ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing faketime, by which processes see a wrong time of day"
  if apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends faketime; then
    exit 0
  fi
fi
echo "faketime is not there: make chaos leaves wrong clocks out (Debian, Ubuntu: install faketime)" >&2
