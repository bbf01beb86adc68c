#!/bin/sh
# Makes the virtual environment; on a bare Debian it installs python3-venv first. venv.sh PYTHON FOLDER
set -eu
python=$1 folder=$2
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Raven needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  echo "installing python3-venv, without which Python cannot make virtual environments"
  $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get -qq update && apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends python3-venv' >/dev/null
fi
"$python" -m venv "$folder"
