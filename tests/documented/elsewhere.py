"""Documented lines that are not run here: other tests do, or what they belong to is no part of a test machine."""

from __future__ import annotations

INSTALLED = "deploy/test_mariadb.py::test_a_client_inserts_reads_and_deletes_as_if_it_were_alone"
RESTORED = "farm/test_backup.py::test_after_a_restore_films_under_way_are_done_and_those_inserted_since_are_forgotten"
FIVE_HOSTS = "deploy/test_five_hosts.py::test_a_worker_joins_and_another_leaves_while_a_film_is_encoded"
AS_DAEMONS = "deploy/test_five_hosts.py::test_a_documented_command_runs_as_the_daemons_do"
IMPORTED = "deploy/test_rabbitmq.py::test_what_a_role_must_not_do_is_refused"
BUCKET = "deploy/test_ceph.py::test_a_worker_stores_all_that_it_makes"
SIGNED = "contract/test_notices.py::test_a_done_task_is_told_once_with_a_signature_that_the_receiver_can_check"
TLS_RABBITMQ = "contract/test_tls.py::test_messages_go_to_rabbitmq_and_come_back_by_tls"
LIFECYCLE = (
    "s3 put-bucket-lifecycle-configuration --bucket raven --lifecycle-configuration file://deploy/ceph/lifecycle.json"
)
UPSTREAM = (
    'RAVEN_UPSTREAM_DATABASE=mysql://reader:password@db.example:3306/shop  RAVEN_UPSTREAM_QUERY="SELECT id FROM films"'
)

TESTED = {
    "kubectl kustomize": "deploy/test_kubernetes.py::test_kustomize_puts_the_files_together",
    "pip install .": "e2e/test_packaging.py::TestTheWheel",
    "pip download --require-hashes -r requirements.lock -d /mnt/packages": (
        "deploy/test_install.py::test_packages_are_those_of_the_lock_file_and_nothing_of_the_copy_is_used"
    ),
    "python -m benchmarks.quality FILM": (
        "e2e/test_quality.py::test_of_lossless_encodes_the_command_finds_the_very_frames"
    ),
    "python -m benchmarks.peers FILM": "e2e/test_peers.py::test_raven_and_ffmpeg_make_the_same_rungs",
    # MariaDB
    "cp deploy/mariadb/raven.cnf /etc/mysql/mariadb.conf.d/70-raven.cnf && systemctl restart mariadb": (
        "deploy/test_mariadb.py::test_the_server_understands_its_settings"
    ),
    "mariadb -e 'CREATE DATABASE raven CHARACTER SET utf8mb4' && mariadb raven < db.sql": INSTALLED,
    "mariadb < deploy/mariadb/rights.sql": INSTALLED,
    "cp deploy/mariadb/accounts.sql.example accounts.sql": INSTALLED,
    "mariadb < accounts.sql": INSTALLED,
    "mariadb-dump --single-transaction raven > raven.sql": RESTORED,
    "mariadb raven < raven.sql": RESTORED,
    # RabbitMQ
    "cp deploy/rabbitmq/definitions.json.example definitions.json": IMPORTED,
    "rabbitmqctl import_definitions definitions.json && shred -u definitions.json": IMPORTED,
    "listeners.tcp = none": TLS_RABBITMQ,
    "listeners.ssl.default = 5671": TLS_RABBITMQ,
    "ssl_options.certfile = /etc/rabbitmq/server.pem": TLS_RABBITMQ,
    "ssl_options.keyfile  = /etc/rabbitmq/server.key": TLS_RABBITMQ,
    "ssl_options.versions.1 = tlsv1.3": TLS_RABBITMQ,
    "ssl_options.versions.2 = tlsv1.2": TLS_RABBITMQ,
    # Ceph
    "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…": BUCKET,
    's3() { aws --endpoint-url https://rgw.example --region us-east-1 s3api "$@"; }': BUCKET,
    "deploy/ceph/users.sh": BUCKET,
    "s3 create-bucket --bucket raven": BUCKET,
    "s3 put-bucket-policy --bucket raven --policy file://deploy/ceph/policy.json": BUCKET,
    "s3 put-bucket-cors --bucket raven --cors-configuration file://deploy/ceph/cors.json": (
        "deploy/test_ceph.py::test_players_on_other_sites_may_read"
    ),
    LIFECYCLE: "deploy/test_ceph.py::test_unfinished_uploads_have_an_end",
    "rgw_frontends = beast ssl_port=443 ssl_certificate=/etc/ceph/rgw.pem tcp_nodelay=1": (
        "contract/test_tls.py::test_objects_of_any_size_go_to_ceph_and_come_back_by_tls"
    ),
    # Prometheus
    "cp deploy/prometheus/prometheus.yml deploy/prometheus/raven.rules.yml /etc/prometheus/": (
        "deploy/test_prometheus.py::test_rules_and_example_parse"
    ),
    # hosts
    "python -m raven.env_files FILE... -- COMMAND": (
        "unit/test_env_files.py::test_a_program_runs_with_the_settings_of_all_files_that_are_there"
    ),
    "deploy/install.sh raven.env raven-worker.env": FIVE_HOSTS,
    "deploy/install.sh raven-owner.env": AS_DAEMONS,
    "systemctl enable --now raven-worker": FIVE_HOSTS,
    "systemctl disable --now raven-worker": FIVE_HOSTS,
    "raven-as NAME COMMAND": "deploy/test_systemd.py::test_a_command_by_hand_has_the_settings_of_the_unit",
    "raven-as worker raven doctor --role worker": AS_DAEMONS,
    "raven-as watcher raven nodes": AS_DAEMONS,
    "raven-as owner raven migrate": AS_DAEMONS,
    "raven-as owner raven migrate --restored": RESTORED,
    "raven-as scrub python -m scrub --dry-run": AS_DAEMONS,
    "raven-as master head -c 1 FILE": AS_DAEMONS,
    "deploy/compose/secrets.sh": (
        "deploy/test_container.py::test_each_secret_of_the_compose_file_is_written_with_a_password_of_its_own"
    ),
    "grep -w task=42 /var/log/raven/raven.log": (
        "deploy/test_rsyslog.py::test_a_tasks_lines_are_found_on_the_log_host_whole"
    ),
    # settings and Python
    'RAVEN_UPSTREAM_COMMAND="/usr/local/bin/list-films --ids"': (
        "unit/test_scrub.py::test_what_upstream_no_longer_knows_goes"
    ),
    UPSTREAM: "unit/test_scrub.py::test_upstream_may_be_a_query_in_another_database",
    'fields = dict(field.split("=", 1) for field in headers["Raven-Signature"].split(","))': SIGNED,
    'code = hmac.new(secret, fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()': SIGNED,
    'good = hmac.compare_digest(code, fields["v1"]) and abs(time.time() - int(fields["t"])) < 300': SIGNED,
}
"""What runs a line, or what it tells to run: a file below tests/, and a test or fixture in it."""

_NO_SYSTEMD = "the machines that run tests have no systemd at work; the units are checked by deploy/test_systemd.py"
_NO_CONTAINERS = "the machines that run tests have no containers; the files are checked by deploy/test_container.py"
_FETCHES = "what the tests themselves were installed by, from an index of packages"
_LOOKS = "a look at another program's own state, of which nothing is Raven's"
UNTESTED = {
    "mpv film/master.m3u8": "a player with a window; e2e/test_playback.py plays in browsers",
    "docker compose -f deploy/compose/compose.yaml up -d --build": _NO_CONTAINERS,
    "docker compose -f deploy/compose/compose.yaml run --rm client raven submit /srv/in/film.mkv": _NO_CONTAINERS,
    "docker compose -f deploy/compose/compose.yaml up -d --no-recreate --scale worker=6": _NO_CONTAINERS,
    "kubectl -n raven delete job raven-migrate": "a Kubernetes cluster; the files are checked by their schemas",
    "systemctl stop": _NO_SYSTEMD,
    "systemctl kill --kill-whom=main raven-worker": _NO_SYSTEMD,
    "systemctl status": _NO_SYSTEMD,
    "systemctl status mariadb": _NO_SYSTEMD,
    "systemctl status raven-watcher": _NO_SYSTEMD,
    "systemctl list-timers raven-scrub.timer": _NO_SYSTEMD,
    "systemctl reload prometheus": _NO_SYSTEMD,
    "systemctl restart": _NO_SYSTEMD,
    "systemctl start raven-watcher": _NO_SYSTEMD,
    "systemctl start raven-worker": _NO_SYSTEMD,
    "systemctl stop raven-watcher": _NO_SYSTEMD,
    "systemctl stop raven-worker": _NO_SYSTEMD,
    "journalctl -k": _NO_SYSTEMD,
    "apt-get install rsyslog": _FETCHES,
    "journalctl -u raven-watcher": _NO_SYSTEMD,
    "ceph -s": _LOOKS,
    "iostat -x": _LOOKS,
    "ss -ltnp": _LOOKS,
    "rabbitmq-diagnostics alarms": _LOOKS,
    "rabbitmqctl delete_queue": "an operator's after a theft; it takes a queue's name",
}
"""Why nothing runs a line."""
