#!/usr/bin/env bash
# The console is tried, and its screenshots are made, in a real Chromium.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then
    exit 0
  fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing chromium, in which the console is tried"
  if apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends chromium fonts-dejavu-core; then
    exit 0
  fi
fi
echo "A Chromium is needed to try the console: install chromium (Debian, Ubuntu). Without it its tests are skipped." >&2
[ -z "${CI:-}" ]
