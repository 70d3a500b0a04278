# Part of check_image.sh: what the containers may not do, and do not need.
# shellcheck shell=bash disable=SC2154 # the main script sets them

# 127.0.0.1, ::1 and 127.0.0.1 in IPv6 as the kernel writes them.
readonly LOOPBACK='^(0100007F|0{24}01000000|0{16}FFFF00000100007F):'

check_user() {
  local users
  # A process may end while they are listed.
  users=$(timeout 20 podman exec "$id" sh -c 'stat --format %u /proc/[0-9]*; true' 2>/dev/null |
    sort -u | paste -sd ' ')
  [ "$users" = "$USER_ID" ] || fail "processes of the users: $users" "see USER in the Dockerfile"
  ok "every process belongs to user $USER_ID, none to root"
}

check_loopback() {
  local sockets open
  sockets=$(awk -v user="$USER_ID" '$8 == user { print $2 }' /proc/net/tcp /proc/net/tcp6)
  open=$(grep -Ev "$LOOPBACK" <<<"$sockets" || true)
  [ -n "$sockets" ] || fail "user $USER_ID has no sockets" "look for them in /proc/net/tcp"
  [ -z "$open" ] || fail "sockets that are not on loopback: $open" "see what listens or connects there"
  ok "every socket of user $USER_ID is on loopback"
}

check_read_only() {
  local said
  [ "$(podman inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] ||
    fail "its root filesystem can be written to" "see --read-only in deploy/check_image_run.sh"
  said=$(timeout 20 podman exec "$id" sh -c \
    'for at in / /app /home /root /opt/venv /var/tmp /run /tmp /app/.data; do
       if echo >$at/tried; then rm $at/tried; echo $at; fi; done' 2>/dev/null | paste -sd ' ')
  [ "$said" = "/tmp /app/.data" ] || fail "can be written to: $said" "only /tmp and /app/.data should be"
  ok "its root filesystem is read-only; it writes to /tmp and to /app/.data"
}

# In a network of its own: 50051 and 9464 for everybody, all else for the container alone.
check_what_is_open() {
  local open
  # Listening sockets (0A) that are not on loopback, by their port in hexadecimal digits.
  open=$(timeout 20 podman exec "$id" sh -c 'cat /proc/net/tcp /proc/net/tcp6' |
    awk '$4 == "0A" { print $2 }' | { grep -Ev "$LOOPBACK" || true; } | sed 's/.*://' | sort -u |
    while read -r digits; do echo $((16#$digits)); done | sort -n | paste -sd ' ')
  [ "$open" = "9464 50051" ] || fail "open to others: ports $open" "see EXPOSE and ENV in the Dockerfile"
  ok "open to others are the ports 9464 and 50051, and no other"
}
