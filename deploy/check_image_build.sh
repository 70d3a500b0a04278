# Part of check_image.sh: the tools, the base image and the build.
# shellcheck shell=bash disable=SC2154 # the main script sets them

install_tools() {
  local missing=()
  for tool in buildah podman runc mmdebstrap git; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if ((${#missing[@]} == 0)); then
    ok "the tools are there"
    return
  fi
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}" "install them and start again"
  local apt=(apt-get -o DPkg::Lock::Timeout=300)
  export DEBIAN_FRONTEND=noninteractive
  if ! watched 400 apt "${apt[@]}" update ||
    ! watched 900 apt "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
    fail "apt-get: $(tail -n 1 "$work/apt.log")" "install ${missing[*]} and start again"
  fi
  ok "installed ${missing[*]}"
}

# An own store: no image, container or lock of this machine is seen or changed.
use_own_storage() {
  cat >"$work/containers.conf" <<END
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "$work/libpod-tmp"
END
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' \
    "${STORAGE_DRIVER:-overlay}" "$work/store" "$work/run" >"$work/storage.conf"
  export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
  export TMPDIR=$work DISABLE_HC_SYSTEMD=true
}

get_base() {
  if watched 300 pull buildah pull "$base"; then
    ok "pulled $base"
    return
  fi
  echo "    it cannot be pulled: $(tail -n 1 "$work/pull.log" | cut -c 1-200)"
  echo "    FALLBACK: making a stand-in from Debian packages under the name $base"
  # As in the official image: python and pip by these names, no EXTERNALLY-MANAGED, and an apt that caches nothing.
  # shellcheck disable=SC2016 # mmdebstrap gives the hook its argument
  watched 600 base mmdebstrap --variant=minbase --include=ca-certificates,python3-pip,python-is-python3 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED' \
    --customize-hook='rm -f "$1"/var/cache/apt/*.bin
      printf "%s \"\";\n" Dir::Cache::pkgcache Dir::Cache::srcpkgcache >"$1"/etc/apt/apt.conf.d/docker-clean' \
    bookworm "$work/base.tar" ||
    fail "mmdebstrap: $(grep -m 1 '^E: ' "$work/base.log")" "see that the Debian mirror can be reached"
  watched 120 import podman import --change 'CMD ["python3"]' "$work/base.tar" "$base" ||
    fail "podman import: $(tail -n 1 "$work/import.log")" \
      "see that /var/tmp has 3 GB of room; where overlay does not work, set STORAGE_DRIVER=vfs"
  rm "$work/base.tar"
  base_origin="made from Debian packages: a STAND-IN, not the official image"
  ok "$base was $base_origin"
}

pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  if [ -n "${!variable:-}" ]; then
    echo "${!variable}"
  else
    python3 -m pip config get "global.$1" 2>/dev/null || true
  fi
}

# pip's settings of this machine, in a folder that is root's home while the image is built and not in the image.
borrow_pip_settings() {
  local value
  mkdir -p "$work/home/.config/pip"
  printf '[global]\nprogress-bar = off\n' >"$work/home/.config/pip/pip.conf"
  for name in index-url extra-index-url trusted-host proxy default-timeout retries; do
    value=$(pip_setting "$name")
    [ -z "$value" ] || echo "$name = ${value//$'\n'/ }" >>"$work/home/.config/pip/pip.conf"
  done
  value=$(pip_setting cert)
  value=${value:-${REQUESTS_CA_BUNDLE:-}}
  if [ -n "$value" ]; then
    cp "$value" "$work/home/.config/pip/ca.pem"
    echo 'cert = /root/.config/pip/ca.pem' >>"$work/home/.config/pip/pip.conf"
  fi
}

# IMAGE ARGUMENTS...
build_one() {
  local image=$1
  shift
  watched 1500 build buildah build --isolation chroot --network host --format docker --layers --pull-never \
    --volume "$work/home:/root:ro" --tag "$image" "$@" "$work/context" || {
    tail -n 30 "$work/build.log"
    fail "the Dockerfile does not build" \
      "mend what the last lines above say; where packages cannot be fetched, set PIP_INDEX_URL and PIP_CERT"
  }
}

megabytes() {
  echo $(($(podman image inspect --format '{{.Size}}' "$1") / 1000000))
}

build() {
  mkdir "$work/context"
  # Modes as under the strictest umask: the image may not depend on them.
  git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- --ignore-failed-read --mode=go= 2>/dev/null |
    tar --extract --preserve-permissions --directory "$work/context"
  borrow_pip_settings
  build_one "$IMAGE"
  build_one "$BACKEND_IMAGE" --target backend
  ok "built: $(megabytes "$IMAGE") MB, the backend $(megabytes "$BACKEND_IMAGE") MB," \
    "of which base image $(megabytes "$base") MB"
}

check_nothing_is_left() {
  local root left image
  for image in "$IMAGE" "$BACKEND_IMAGE"; do
    root=$(podman image mount "$image")
    left=$(find "$root"/root/.config "$root"/etc/pip.conf "$root"/app/{tests,.git,.env} -maxdepth 0 2>/dev/null || true)
    podman image unmount "$image" >/dev/null
    [ -z "$left" ] || fail "in $image: $left" "keep it out: .dockerignore, or the build's mounts"
  done
  ok "nothing of this machine's pip settings, of the tests or of git is in the images"
}
