#!/usr/bin/env bash
# Alerts are checked by promtool, and the queries of alerts and dashboards are asked of a Prometheus.
set -euo pipefail

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing Prometheus, which checks alerts and dashboards"
  # Only the programs: nothing is to be started as a service of the machine.
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  if apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg-deb -x prometheus_*.deb files) &&
    install -m 755 "$work"/files/usr/bin/prom{etheus,tool} /usr/local/bin/ &&
    prometheus --version >/dev/null && promtool --version >/dev/null; then
    exit 0
  fi
fi
echo "Prometheus is needed to check alerts and dashboards: install prometheus and promtool (Debian, Ubuntu:" >&2
echo "prometheus). Without them those checks are skipped." >&2
[ -z "${CI:-}" ]
