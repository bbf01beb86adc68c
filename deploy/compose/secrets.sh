#!/bin/sh
# Writes the passwords and URLs for compose.yaml into secrets/, once, from the examples of deploy/mariadb and
# deploy/rabbitmq: each `change-me-N` becomes a password. secrets.sh [FOLDER]
# Tried by tests/deploy/test_container.py on real servers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
secrets=${1:-$here/secrets}
[ ! -e "$secrets" ] || { echo "$secrets is there already: passwords that are in use stay" >&2; exit 1; }
# The folder is closed to others on this machine; the files are not, as each container reads its own by a user of its own
umask 022
mkdir -m 700 "$secrets"
new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

filled() {
  cp "$1" "$2"
  grep -o 'change-me-[0-9]*' "$1" | while read -r mark; do
    sed -i "s/$mark\\([^0-9]\\)/$(new)\\1/" "$2"
  done
}

filled "$here/../mariadb/accounts.sql.example" "$secrets/accounts.sql"
sed -n "s/^CREATE USER IF NOT EXISTS \\([a-z_]*\\)@'%' IDENTIFIED BY '\\([^']*\\)'.*/\\1 \\2/p" "$secrets/accounts.sql" |
  while read -r account password; do
    case $account in news|sport|wall) database=raven_public ;; *) database=raven ;; esac
    printf 'mysql://%s:%s@mariadb:3306/%s\n' "$account" "$password" $database > "$secrets/${account#raven_}_database"
  done

filled "$here/../rabbitmq/definitions.json.example" "$secrets/definitions.json"
sed -n 's/.*"name": "\(raven_[a-z]*\)", "password": "\([^"]*\)".*/\1 \2/p' "$secrets/definitions.json" |
  while read -r account password; do
    printf 'amqp://%s:%s@rabbitmq:5672/raven\n' "$account" "$password" > "$secrets/${account#raven_}_broker"
  done
