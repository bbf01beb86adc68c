"""Insert to create, delete your own to cancel, never update: what each role's account tries at a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from click.testing import CliRunner
from pymysql.constants import ER
from pymysql.cursors import Cursor

from raven.cli import main
from raven.config import Settings
from raven.wiring import COURIER_LOCK, open_database
from scrub import scrub
from tests.deploy.rights import ACCOUNTS, PASSWORDS, installed, url
from tests.deploy.tools import DEPLOY, check
from tests.receiver import receiver
from tests.servers.mariadb import MariaDb
from tests.waiting import wait_until
from watcher.courier import Courier
from watcher.daemon import at_work
from watcher.tasks import Tasks
from watcher.watcher import steady_clock

pytestmark = pytest.mark.servers
REFUSED_BY_TRIGGER = 1644
NOT_THEIR_ROLE = 1959
FORBIDDEN = {
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    REFUSED_BY_TRIGGER,
    NOT_THEIR_ROLE,
}
Rows = list[tuple[Any, ...]]
Say = Callable[..., Rows]
"""Executes one statement in an account's own connection: its rows."""

CLIENT = [
    ("see the tables", "SELECT * FROM raven.tasks"),
    ("see all tasks", "SELECT * FROM raven_public.all_tasks"),
    ("see the nodes", "SELECT * FROM raven.nodes"),
    ("see what others are told", "SELECT * FROM raven.notices"),
    ("have others told", "INSERT INTO raven.notices (task_id, event, url) VALUES (1, 'done', 'https://evil.example/')"),
    ("see who else has an account", "SELECT User FROM mysql.user"),
    ("update its own row", "UPDATE tasks SET priority = 100"),
    ("update what Raven writes", "UPDATE tasks SET status = 'done'"),
    ("update the table behind the view", "UPDATE raven.tasks SET priority = 100"),
    ("update by inserting again", "INSERT INTO tasks (source) VALUES ('/a') ON DUPLICATE KEY UPDATE source = '/b'"),
    ("replace a row of a known id", "REPLACE INTO tasks (id, source) VALUES (1, '/b')"),
    ("choose an id", "INSERT INTO tasks (id, source) VALUES (9000, '/b')"),
    ("insert as another", "INSERT INTO tasks (source, owner) VALUES ('/b', 'sport')"),
    ("insert what is done", "INSERT INTO tasks (source, status) VALUES ('/b', 'done')"),
    ("insert outputs", "INSERT INTO tasks (source, url) VALUES ('/b', 'https://evil.example/')"),
    ("insert into the past", "INSERT INTO tasks (source, created_at) VALUES ('/b', '2001-01-01')"),
    ("insert past the view", "INSERT INTO raven.tasks (source) VALUES ('/b')"),
    ("delete past the view", "DELETE FROM raven.tasks"),
    ("delete jobs", "DELETE FROM jobs"),
    ("make jobs", "INSERT INTO raven.jobs (task_id, kind, position, lane) VALUES (1, 'purge', 0, 'master.light')"),
    ("hold nodes", "INSERT INTO raven.holds (name, reason, since) VALUES ('one', 'drained', 0)"),
    ("empty the table", "TRUNCATE TABLE tasks"),
    ("remove the view", "DROP VIEW tasks"),
    ("make a table", "CREATE TABLE raven_public.mine (id INTEGER)"),
    ("remove the trigger", "DROP TRIGGER raven.tasks_delete"),
    ("lock the tables", "LOCK TABLES raven.tasks WRITE"),
    ("take another role", "SET ROLE raven_operators"),
    ("give rights away", "GRANT SELECT ON raven_public.tasks TO sport@'%'"),
    ("read files of the server", "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/raven-test'"),
    ("change the server", "SET GLOBAL max_connections = 1"),
]
WATCHER = [
    ("make tasks", "INSERT INTO tasks (source) VALUES ('/a')"),
    ("delete tasks", "DELETE FROM tasks"),
    ("change what a client wrote", "UPDATE tasks SET source = '/b'"),
    ("change whose a task is", "UPDATE tasks SET owner = 'sport'"),
    ("rewrite history", "UPDATE history SET message = ''"),
    ("forget what has just happened", "DELETE FROM history"),
    ("change what a notice says", "UPDATE notices SET body = ''"),
    ("change whom a notice goes to", "UPDATE notices SET url = 'https://evil.example/'"),
    ("change the schema", "ALTER TABLE tasks ADD COLUMN x INTEGER"),
    ("drop a table", "DROP TABLE jobs"),
    ("see accounts", "SELECT * FROM mysql.global_priv"),
]
SCRUB = [
    ("delete tasks", "DELETE FROM tasks"),
    ("update tasks", "UPDATE tasks SET status = 'failed'"),
    ("delete jobs", "DELETE FROM jobs"),
    ("see the nodes", "SELECT * FROM nodes"),
    ("see the notices", "SELECT * FROM notices"),
    ("see what has happened", "SELECT message FROM history"),
    ("rewrite history", "UPDATE history SET at = 1"),
    ("forget what has just happened", "DELETE FROM history"),
]
OPERATOR = [
    ("change a source", "UPDATE tasks SET source = '/b'"),
    ("change whose a task is", "UPDATE tasks SET owner = 'sport'"),
    ("rewrite history", "DELETE FROM history"),
    ("change whom a notice goes to", "UPDATE notices SET url = 'https://evil.example/'"),
    ("remove notices", "DELETE FROM notices"),
    ("make jobs", "INSERT INTO jobs (task_id, kind, position, lane) VALUES (1, 'purge', 0, 'master.light')"),
    ("drop a table", "DROP TABLE tasks"),
    ("make accounts", "CREATE USER mallory"),
]
DISPLAY = [
    ("delete tasks", "DELETE FROM all_tasks"),
    ("insert tasks", "INSERT INTO tasks (source) VALUES ('/a')"),
    ("update tasks", "UPDATE all_tasks SET priority = 1"),
    ("see the jobs", "SELECT * FROM raven.jobs"),
]
ACTS = [
    pytest.param(account, database, statement, id=f"{account} cannot {act}")
    for account, database, acts in (
        ("news", "raven_public", CLIENT),
        ("raven_watcher", "raven", WATCHER),
        ("raven_scrub", "raven", SCRUB),
        ("alice", "raven", OPERATOR),
        ("wall", "raven_public", DISPLAY),
    )
    for act, statement in acts
]


@pytest.fixture(scope="module")
def server(mariadb_server: MariaDb) -> Iterator[MariaDb]:
    with installed(mariadb_server) as server:
        yield server


@pytest.fixture(scope="module")
def connections(server: MariaDb) -> Iterator[Callable[[str, str], Say]]:
    """Connects as an account of the example, once for each account and database."""
    opened: dict[str, pymysql.Connection[Cursor]] = {}

    def login(address: str) -> Say:
        parts = urlsplit(address)
        if address not in opened:
            opened[address] = pymysql.connect(
                host=parts.hostname or "",
                port=parts.port or 0,
                user=parts.username,
                password=parts.password or "",
                database=parts.path[1:],
                autocommit=True,
            )

        def say(statement: str, *values: object) -> Rows:
            with opened[address].cursor() as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall())

        return say

    yield lambda account, database: login(url(server, account, database))
    for connection in opened.values():
        connection.close()


@pytest.fixture
def connect(connections: Callable[[str, str], Say]) -> Iterator[Callable[[str, str], Say]]:
    """The same, and no row is there before, nor left behind."""
    yield connections
    operator = connections("alice", "raven")
    operator("DELETE FROM jobs")
    operator("DELETE FROM tasks")


Connect = Callable[[str, str], Say]
HAPPENED = "INSERT INTO history (task_id, at, event) VALUES (1, %s, 'encode done')"


@pytest.mark.parametrize(("account", "database", "statement"), ACTS)
def test_what_a_role_must_not_do_is_refused(account: str, database: str, statement: str, connect: Connect) -> None:
    """And nothing has changed by it, the account's own row neither."""
    news, operator = connect("news", "raven_public"), connect("alice", "raven")
    news("INSERT INTO tasks (source, reference) VALUES ('/a', 'mine')")
    connect("raven_watcher", "raven")(HAPPENED, time.time_ns() // 1_000_000)
    before = operator("SELECT * FROM tasks")

    with pytest.raises(pymysql.MySQLError) as refused:
        connect(account, database)(statement)

    assert refused.value.args[0] in FORBIDDEN
    assert operator("SELECT * FROM tasks") == before


@pytest.mark.parametrize("account", ["raven_watcher", "raven_scrub"])
def test_the_cleaner_removes_old_history_with_either_account(
    account: str, connect: Connect, server: MariaDb, tmp_path: Path
) -> None:
    happened, operator = connect("raven_watcher", "raven"), connect("alice", "raven")
    now = time.time_ns() // 1_000_000
    for at in (1, now - 3 * 86_400_000, now):
        happened(HAPPENED, at)
    settings = Settings(
        database=url(server, account, "raven"), storage=f"file://{tmp_path}", temporary=tmp_path, history_days=2
    )

    scrub(settings, dry_run=False)

    assert operator("SELECT MIN(at) > %s FROM history", now - 86_400_000) == [(1,)]


def test_a_client_inserts_reads_and_deletes_as_if_it_were_alone(connect: Connect) -> None:
    news, sport = connect("news", "raven_public"), connect("sport", "raven_public")
    sport("INSERT INTO tasks (source) VALUES ('/srv/in/match.mkv')")

    news(
        "INSERT INTO tasks (source, profile, priority, options, callback_url, notify_email, keep_hours, reference)"
        " VALUES ('/srv/in/film.mkv', 'default', 5, '{}', 'https://news.example/done', 'desk@news.example', 24, 'n-1')"
    )
    ((task,),) = news("SELECT LAST_INSERT_ID()")

    assert news("SELECT id, owner, status, progress, reference FROM tasks") == [(task, "news", "new", 0.0, "n-1")]
    news("DELETE FROM tasks WHERE reference = 'n-1'")
    assert news("SELECT * FROM tasks") == []
    assert sport("SELECT source FROM tasks") == [("/srv/in/match.mkv",)]


def test_a_client_sees_its_own_notices_without_their_texts_and_no_others(connect: Connect, server: MariaDb) -> None:
    news, operator, watcher = (
        connect("news", "raven_public"),
        connect("alice", "raven"),
        connect("raven_watcher", "raven"),
    )
    ((mine,),) = news("INSERT INTO tasks (source, callback_url) VALUES ('/a', 'https://news.example/') RETURNING id")
    ((other,),) = connect("sport", "raven_public")("INSERT INTO tasks (source) VALUES ('/b') RETURNING id")
    for task in (mine, other):
        watcher(
            "INSERT INTO notices (task_id, event, url, host, body, created_at, due_at, until)"
            " VALUES (%s, 'done', 'https://news.example/', 'news.example', 'the body', 1, 2, 3)",
            task,
        )

    assert news("SELECT task_id, event, state, url FROM notices") == [
        (mine, "done", "waiting", "https://news.example/")
    ]
    told = CliRunner().invoke(main, ["notices"], env={"RAVEN_DATABASE": url(server, "news", "raven_public")})
    assert told.exit_code == 0, told.output
    assert told.output.count("https://news.example/") == 1
    for forbidden in ("SELECT body FROM notices", "UPDATE notices SET state = 'sent'", "DELETE FROM notices"):
        with pytest.raises(pymysql.MySQLError):
            news(forbidden)
    watcher("DELETE FROM notices")
    assert operator("SELECT * FROM notices") == []


def test_a_client_is_told_that_the_database_is_of_another_raven(connect: Connect, server: MariaDb) -> None:
    server.run_script("raven", "INSERT INTO schema_version (version) VALUES (900)")
    try:
        said = CliRunner().invoke(main, ["list"], env={"RAVEN_DATABASE": url(server, "news", "raven_public")})
    finally:
        server.run_script("raven", "DELETE FROM schema_version WHERE version = 900")
    assert said.exit_code == 1
    assert "schema version 900" in said.output


def test_inserting_can_return_the_id(connect: Connect) -> None:
    news = connect("news", "raven_public")
    ((task,),) = news("INSERT INTO tasks (source) VALUES ('/a') RETURNING id")
    assert news("SELECT id FROM tasks") == [(task,)]


@pytest.mark.parametrize("statement", ["DELETE FROM tasks", "DELETE FROM tasks WHERE id = 1"])
def test_tasks_of_others_are_not_there_to_be_deleted(statement: str, connect: Connect) -> None:
    news, sport = connect("news", "raven_public"), connect("sport", "raven_public")
    news("INSERT INTO tasks (source) VALUES ('/a')")

    sport(statement)

    assert len(news("SELECT * FROM tasks")) == 1


def test_even_with_rights_on_the_table_a_client_deletes_only_its_own(connect: Connect, server: MariaDb) -> None:
    """The triggers are a second wall: somebody may have granted more than is documented."""
    server.create_user("careless", "x", ["ALL PRIVILEGES ON raven.*"])
    news = connect("news", "raven_public")
    news("INSERT INTO tasks (source) VALUES ('/a')")
    careless = pymysql.connect(
        host=server.host, port=server.port, user="careless", password="x", database="raven", autocommit=True
    )
    with careless, careless.cursor() as cursor:
        for statement in (
            "DELETE FROM tasks",
            "INSERT INTO tasks (source, owner) VALUES ('/b', 'news')",
            "INSERT INTO tasks (source, status) VALUES ('/b', 'failed')",
        ):
            with pytest.raises(pymysql.MySQLError) as refused:
                cursor.execute(statement)
            assert refused.value.args[0] == REFUSED_BY_TRIGGER
        cursor.execute("INSERT INTO tasks (source) VALUES ('/b')")
        cursor.execute("DELETE FROM tasks WHERE owner = 'careless'")

    assert news("SELECT owner, status FROM tasks") == [("news", "new")]


def test_who_may_read_all_tasks_reads_all(connect: Connect) -> None:
    for client in ("news", "sport"):
        connect(client, "raven_public")("INSERT INTO tasks (source) VALUES ('/a')")

    assert connect("wall", "raven_public")("SELECT owner FROM all_tasks ORDER BY id") == [("news",), ("sport",)]


def raven(address: str, *command: str) -> str:
    """What `raven` prints; it must not fail."""
    done = CliRunner().invoke(main, command, env={"RAVEN_DATABASE": address}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands_of_a_client_work_with_its_account(connect: Connect, server: MariaDb) -> None:
    news = url(server, "news", "raven_public")
    task = str(json.loads(raven(news, "submit", "/srv/in/film.mkv", "--json"))["id"])

    assert "/srv/in/film.mkv" in raven(news, "list")
    assert f"task {task}: new" in raven(news, "status", task)
    assert f"task {task} is cancelled" in raven(news, "cancel", task)


@pytest.mark.parametrize("command", [("log", "1"), ("top",), ("nodes",), ("notices", "again", "1")], ids=" ".join)
def test_a_client_that_runs_an_operator_s_command_is_told_whose(server: MariaDb, command: tuple[str, ...]) -> None:
    address = url(server, "news", "raven_public")
    done = CliRunner().invoke(main, command, env={"RAVEN_DATABASE": address}, catch_exceptions=False)
    assert done.exit_code == 1
    assert "this wants an operator's account in RAVEN_DATABASE" in done.output


def test_the_commands_of_an_operator_work_with_theirs(connect: Connect, server: MariaDb) -> None:
    """Also on the tasks of clients."""
    connect("news", "raven_public")("INSERT INTO tasks (source) VALUES ('/a')")
    watcher = connect("raven_watcher", "raven")
    ((task,),) = watcher("SELECT id FROM tasks")
    watcher("UPDATE tasks SET status = 'failed' WHERE id = %s", task)
    watcher(
        "INSERT INTO jobs (task_id, kind, position, lane, state) VALUES (%s, 'encode', 0, 'worker', 'failed')", task
    )
    operator = url(server, "alice", "raven")

    assert f"task {task} is tried again" in raven(operator, "retry", str(task))
    assert watcher("SELECT status FROM tasks") == [("new",)]
    assert "takes no more jobs" in raven(operator, "nodes", "drain", "one")
    assert "takes jobs again" in raven(operator, "nodes", "resume", "one")
    raven(operator, "nodes")
    watcher("INSERT INTO nodes (name, role, instance, slots, build, seen_at) VALUES ('two', 'worker', 'x', 1, '1', 0)")
    assert "two is forgotten" in raven(operator, "nodes", "forget", "two")
    raven(operator, "cancel", str(task))
    assert watcher("SELECT * FROM tasks") == []


def test_notices_are_sent_with_the_watchers_account_and_sent_again_with_an_operators(
    connect: Connect, server: MariaDb
) -> None:
    operator = url(server, "alice", "raven")
    with receiver() as there:
        connect("news", "raven_public")("INSERT INTO tasks (source, callback_url) VALUES ('/a', %s)", there.url())
        ((task,),) = connect("alice", "raven")("SELECT id FROM tasks")
        hosts = {"callback_hosts": f"127.0.0.1:{there.port}", "callback_networks": "127.0.0.0/8"}
        settings = Settings(database=url(server, "raven_watcher", "raven"), callback_secret="0123456789abcdef", **hosts)
        tasks = open_database(settings)
        assert Tasks(tasks).fail(task, "no")
        tasks.close()

        with at_work(Courier(settings, open_database(settings, COURIER_LOCK), steady_clock())):
            wait_until(lambda: "sent" in raven(operator, "notices"), "it is sent")
            (number,) = [
                json.loads(line)["id"] for line in raven(operator, "notices", str(task), "--json").splitlines()
            ]
            raven(operator, "notices", "again", str(number))
            wait_until(lambda: len(there.posts) == 2, "it is sent again")
            raven(operator, "cancel", str(task))
            raven(operator, "notices")
    watcher = connect("raven_watcher", "raven")
    watcher("DELETE FROM notices")


def test_the_server_understands_its_settings() -> None:
    file = DEPLOY / "mariadb" / "raven.cnf"
    said = check("mariadb-server", "mariadbd", f"--defaults-file={file}", "--help", "--verbose")

    values = dict(re.findall(r"^(\S+) +(\S+)$", said, re.M))
    assert values["idle-transaction-timeout"] == "10"
    assert values["innodb-lock-wait-timeout"] == "5"
    assert values["local-infile"] == "FALSE"
    assert values["transaction-isolation"] == "READ-COMMITTED"


def test_the_example_has_no_account_without_a_password() -> None:
    """And all of them are the ones that these tests try."""
    accounts = ACCOUNTS.read_text("utf-8")
    assert accounts.count("CREATE USER") == len(PASSWORDS) == len(set(PASSWORDS.values()))
    assert {"news", "sport", "wall", "alice", "raven_watcher", "raven_scrub", "raven_owner"} == set(PASSWORDS)


def test_a_client_that_sleeps_in_a_transaction_holds_up_nobody_else(connect: Connect, server: MariaDb) -> None:
    """With the isolation that the server's settings give it. Its own row it does lock, until it is thrown out."""
    sport, watcher = connect("sport", "raven_public"), connect("raven_watcher", "raven")
    ((task,),) = sport("INSERT INTO tasks (source) VALUES ('/a') RETURNING id")
    sleeper = connect("news", "raven_public")
    sleeper("INSERT INTO tasks (source) VALUES ('/b')")
    for account in (sleeper, sport, watcher):
        account("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        account("SET SESSION innodb_lock_wait_timeout = 1")
    sleeper("START TRANSACTION")
    sleeper("SELECT * FROM tasks FOR UPDATE")

    try:
        sport("INSERT INTO tasks (source) VALUES ('/c')")
        watcher("UPDATE tasks SET progress = 0.5 WHERE id = %s", task)
        assert sport("SELECT source, progress FROM tasks ORDER BY id") == [("/a", 0.5), ("/c", 0.0)]
        sport("DELETE FROM tasks WHERE id = %s", task)
        assert sport("SELECT source FROM tasks") == [("/c",)]
    finally:
        sleeper("ROLLBACK")
