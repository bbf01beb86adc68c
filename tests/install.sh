#!/bin/bash
# Installs from Debian 12 what the tests need besides Python packages: real servers, a browser, Node.js.
#
# May be run any number of times: it installs only what is missing. The packages' own scripts would start
# MariaDB and RabbitMQ on their default ports; this is forbidden for the time of the installation, as the
# tests start private servers themselves.
set -euo pipefail

PACKAGES=(
    mariadb-server mariadb-client
    rabbitmq-server
    ceph-mon ceph-osd ceph-common radosgw awscli
    chromium fonts-liberation
    curl python3-venv
    mediainfo libxml2-utils libfaketime
    spin gcc libc6-dev
    systemd nginx haproxy rsyslog logrotate prometheus shellcheck
    iproute2 nftables
)
POLICY=/usr/sbin/policy-rc.d
MARK="written by Raven's tests/install.sh"

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A Node.js from elsewhere (nodesource, nvm, ...) stays as it is: Debian's npm would bring in Debian's nodejs.
add_node() {
    if ! command -v node >/dev/null; then
        PACKAGES+=(nodejs npm)
    elif ! command -v npm >/dev/null; then
        if [ "$(readlink -f "$(command -v node)")" = /usr/bin/node ] && is_installed nodejs; then
            PACKAGES+=(npm)
        else
            echo "There is $(command -v node) but no npm: install the npm that belongs to it." >&2
            exit 1
        fi
    fi
}

# Nor two programs of one name: a kubectl from elsewhere does as well.
add_kubectl() {
    command -v kubectl >/dev/null || PACKAGES+=(kubernetes-client)
}

find_missing() {
    missing=()
    local package
    for package in "${PACKAGES[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
}

choose_root() {
    if [ "$(id -u)" = 0 ]; then
        as_root=(env)
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo env)
    else
        echo "Some Debian packages are missing. Run as root:" >&2
        echo "    $(realpath "$0")" >&2
        echo "which installs: ${missing[*]}" >&2
        exit 1
    fi
}

forbid_server_start() {
    # A file of ours that an interrupted run left behind is ours to remove as well.
    if [ ! -e "$POLICY" ] || grep -qF "$MARK" "$POLICY"; then
        trap allow_server_start EXIT
        printf '#!/bin/sh\n# %s\nexit 101\n' "$MARK" | "${as_root[@]}" tee "$POLICY" >/dev/null
        "${as_root[@]}" chmod 755 "$POLICY"
    fi
}

allow_server_start() {
    "${as_root[@]}" rm -f "$POLICY"
}

apt_get() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This script is for Debian 12. Elsewhere install yourself: ${PACKAGES[*]} nodejs npm" >&2
    exit 1
fi
add_node
add_kubectl
find_missing
if [ "${#missing[@]}" = 0 ]; then
    echo "All Debian packages for the tests are installed."
    exit 0
fi
choose_root
echo "Installing: ${missing[*]}"
forbid_server_start
apt_get update
apt_get install --no-install-recommends "${missing[@]}"
