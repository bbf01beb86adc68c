#!/bin/sh
# Installs Raven on this host, or a newer one over it, as root in a copy of the repository:
#
#   deploy/install.sh [--no-packages] [FILE...]
#
# Python packages go to /opt/raven, the account `raven` is made, the units and raven-as are put in place, and each FILE, such
# as raven.env and raven-worker.env, goes to /etc/raven, for root's eyes only. Nothing is started. May be run any number of
# times. --no-packages: /opt/raven is there already, copied or mounted from a host that has it.
# Tried by tests/deploy/test_install.py and, without the packages, by tests/deploy/test_five_hosts.py.
set -eu
# the account of the daemons reads all but the settings, also where root's files are for root alone
umask 022
source=$(cd "$(dirname "$0")/.." && pwd)
packages=yes
[ "${1:-}" != --no-packages ] || { packages=no; shift; }
for file; do
  case $file in
    raven.env|raven-*.env|*/raven.env|*/raven-*.env) [ -r "$file" ] || { echo "$file cannot be read" >&2; exit 2; } ;;
    *) echo "$file: settings are called raven.env, and raven-watcher.env, raven-worker.env and so on" >&2; exit 2 ;;
  esac
done

if [ $packages = yes ]; then
  "$source/deploy/venv.sh" "${PYTHON:-python3}" /opt/raven
  /opt/raven/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$source/requirements.lock"
  # from a copy, as what a build leaves behind is installed by the next one, too, though a newer Raven has it no longer
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  (cd "$source" && cp -r setup.cfg pyproject.toml README.md LICENSE db.sql scrub.py raven watcher master worker "$copy")
  /opt/raven/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$copy"
fi

install -D -m 644 "$source/deploy/systemd/raven.sysusers" /etc/sysusers.d/raven.conf
systemd-sysusers
# as the account: a Python in a folder of root's would serve root alone
setpriv --reuid=raven --regid=raven --clear-groups /opt/raven/bin/raven --version ||
  { echo "the account raven cannot run /opt/raven/bin/raven: see where its Python lies, or name one: PYTHON=/usr/bin/python3" >&2; exit 1; }
mkdir -p /etc/systemd/system
cp -r "$source"/deploy/systemd/raven-* /etc/systemd/system/
install -D -m 755 "$source/deploy/raven-as" /usr/local/sbin/raven-as
install -d -m 755 /etc/raven
for file; do
  install -m 600 "$file" /etc/raven/
done
# not where systemd does not run, as in an image that is being made
[ ! -d /run/systemd/system ] || systemctl daemon-reload
