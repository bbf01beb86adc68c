"""notify_email and mails to operators, through a real mail server that fails in each way."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from raven.adapters.local_broker import LocalBroker
from raven.config import Settings
from raven.errors import ConfigError, Unavailable
from raven.notices import read_notices
from raven.ports import Database
from raven.wiring import open_database
from tests.authority import Authority
from tests.contract.databases import Connect
from tests.contract.test_notices import START, TLS, Farm, settings_for, told
from tests.receiver import Receiver, receiver, status
from tests.servers.process import free_port
from tests.smtp import HANG, MailServer, mail_server
from tests.waiting import wait_until
from watcher.alarms import MOST_FAILED, NOBODY, SETTLE_MS, Alarms
from watcher.courier import Courier
from watcher.daemon import Waits, at_work, troubles_of
from watcher.letters import Domains, letter
from watcher.mail import MOST_HOUR, Mail
from watcher.mailer import Mailer

DESK = "desk@news.example"
MINUTE = 60_000


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def settings_of(post: MailServer, url: str) -> dict[str, Any]:
    return {
        "database": url,
        "mail_server": f"smtp://127.0.0.1:{post.port}",
        "mail_from": "raven@farm.example",
        "mail_domains": "news.example, *.sport.example",
        "node": "boss",
    }


@pytest.fixture
def farm(connect: Connect, post: MailServer, there: Receiver, database_url: str) -> Iterator[Farm]:
    settings = settings_for(there, database_url) | settings_of(post, database_url)
    with closing(Farm(connect, settings)) as found:
        yield found


def ended(farm: Farm, email: str, *, done: bool = True, reference: str | None = None, url: str | None = None) -> int:
    farm.database.execute(
        "INSERT INTO tasks (source, notify_email, reference, callback_url) VALUES ('/a', ?, ?, ?)",
        (email, reference, url),
    )
    task = int(farm.database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])
    with farm.database.transaction():
        if done:
            farm.tasks.finish(task, "https://media.example/out/1/master.m3u8", 24.36, "{}", None)
        else:
            farm.tasks.fail(task, "the source\nis empty")
    return task


# notify_email


def test_who_asks_for_it_gets_a_mail_when_the_film_is_done_or_failed(farm: Farm, post: MailServer) -> None:
    done, failed = ended(farm, DESK, reference="n-1"), ended(farm, "late@sub.sport.example", done=False)

    farm.go()

    first, second = sorted(post.postmaster.taken, key=lambda one: str(one.mail["To"]))
    assert (first.sender, first.recipients) == ("raven@farm.example", [DESK])
    assert first.mail["Subject"] == f"done: task {done} (n-1)"
    assert first.mail["Auto-Submitted"] == "auto-generated"
    assert "Address: https://media.example/out/1/master.m3u8" in first.mail.get_content()
    assert second.mail["Subject"] == f"failed: task {failed}"
    assert "Note: the source is empty" in second.mail.get_content()
    assert sorted(farm.rows()) == [(done, "done", "sent", 1, 250), (failed, "failed", "sent", 1, 250)]
    assert {row["event"] for row in farm.database.query("SELECT event FROM history")} == {"notice sent"}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"at_recipient": ["451 Later"]}, "127.0.0.1 answers 451 Later"),
        ({"at_end": ["452 Full"]}, "127.0.0.1 answers 452 Full"),
        ({"at_end": [HANG]}, "127.0.0.1 did not answer within 0.5 s"),
    ],
)
def test_a_mail_that_was_not_taken_is_tried_again_after_a_while(
    answers: dict[str, list[str]], why: str, farm: Farm, post: MailServer
) -> None:
    for name, said in answers.items():
        setattr(post.postmaster, name, said[:])
    if [HANG] in answers.values():
        farm.seconds = 0.5
        farm.start()
    task = ended(farm, DESK)

    farm.go()
    assert farm.rows()[0][:4] == (task, "done", "waiting", 1)
    assert farm.message() == why
    farm.now += 31_000
    farm.seconds, post.postmaster.at_end = 60, []
    farm.go(farm.start())

    assert farm.rows() == [(task, "done", "sent", 2, 250)]
    assert len(post.postmaster.taken) == 1


def test_a_server_that_is_not_there_is_tried_again(farm: Farm, post: MailServer) -> None:
    farm.start(mail_server=f"smtp://127.0.0.1:{free_port()}")
    task = ended(farm, DESK)
    farm.go()
    assert "refused" in farm.message()
    farm.now += 31_000
    farm.go(farm.start())
    assert farm.rows() == [(task, "done", "sent", 2, 250)]


@pytest.mark.parametrize("where", ["at_recipient", "at_end"])
def test_what_a_server_will_never_take_is_not_tried_again(where: str, farm: Farm, post: MailServer) -> None:
    setattr(post.postmaster, where, ["550 No such desk"])
    task = ended(farm, DESK)

    farm.go()

    assert farm.rows() == [(task, "done", "refused", 1, None)]
    assert farm.message() == "notify_email: 127.0.0.1 answers 550 No such desk"


@pytest.mark.parametrize(
    ("email", "why"),
    [
        ("anybody@evil.example", "evil.example is not among RAVEN_MAIL_DOMAINS"),
        ("anybody@notnews.example", "is not among"),
        ("anybody@sport.example", "is not among"),
        ("desk@news.example,anybody@evil.example", "no plain address"),
        ("desk@news.example\r\nBcc: anybody@evil.example", "no plain address"),
        ("desk@news.example>\r\nRCPT TO:<anybody@evil.example", "no plain address"),
        ("Desk <desk@news.example>", "no plain address"),
        ("anybody@evil.example@news.example", "no plain address"),
        ("anybody%evil.example", "no plain address"),
        ("anybody%evil.example@news.example", "no plain address"),  # Postfix would send it on, by default
        ("evil.example!anybody@news.example", "no plain address"),
        ("-oQ/tmp@news.example", "no plain address"),
        ("alice@ops.example", "is not among"),  # an operator
        ("desk@news.example ", "no plain address"),
        ("dësk@news.example", "no plain address"),
    ],
)
def test_a_row_makes_raven_no_relay(email: str, why: str, farm: Farm, post: MailServer) -> None:
    farm.start(mail_operators="alice@ops.example")
    task = ended(farm, email)

    farm.go()

    assert farm.rows() == [(task, "done", "refused", 1, None)]
    assert why in farm.message()
    assert post.postmaster.taken == []


def test_what_a_client_writes_becomes_no_header_and_no_line_of_its_own(farm: Farm, post: MailServer) -> None:
    ended(farm, DESK, reference="x\r\nBcc: anybody@evil.example\r\n\r\n<script>\u2028Click here")
    farm.go()
    (taken,) = post.postmaster.taken
    assert taken.recipients == [DESK]
    assert taken.mail["Bcc"] is None
    assert "(x Bcc: anybody@evil.example <script> Click here)" in taken.mail["Subject"]
    assert len(taken.mail.get_content().splitlines()) == 4


def test_one_address_gets_no_flood(farm: Farm, post: MailServer) -> None:
    mail = Mail.of(Settings(**settings_of(post, "sqlite:///x")))
    assert all(mail._may(DESK, START) for _ in range(MOST_HOUR))
    farm.courier._mail = mail
    task = ended(farm, DESK)
    farm.go()
    assert farm.rows() == [(task, "done", "waiting", 1, 450)]
    assert "within an hour; the others wait" in farm.message()
    farm.now += 3_600_001
    farm.go()
    assert farm.rows() == [(task, "done", "sent", 2, 250)]


def test_one_box_gets_no_flood_by_the_many_ways_to_write_its_address(post: MailServer) -> None:
    mail = Mail.of(Settings(**settings_of(post, "sqlite:///x")))
    local, _, domain = DESK.partition("@")
    assert all(mail._may(f"{local}+{number}@{domain}", START) for number in range(MOST_HOUR))
    assert not mail._may(f"{local.upper()}@{domain}", START)


def test_no_client_can_use_up_what_operators_are_to_be_told(farm: Farm, post: MailServer) -> None:
    """By a `notify_email` that is an operator's: who breaks something would like that nobody hears of it."""
    farm.start(mail_operators=DESK)
    for _ in range(MOST_HOUR + 1):
        ended(farm, DESK)
    farm.go()
    assert len(post.postmaster.taken) == MOST_HOUR

    trouble(farm.database, "one")
    looked(farm, 0)
    looked(farm, 2)
    assert "one: quarantined" in post.postmaster.taken[-1].mail.get_content()


def test_addresses_that_got_nothing_for_an_hour_are_not_kept_in_mind() -> None:
    """A site may have millions of clients, and a client may name as many addresses."""
    mail = Mail(None, "", Domains.of(None), ())
    for minute in range(120):
        for number in range(10):
            assert mail._may(f"{minute}-{number}@example.com", START + minute * 60_000)
        assert mail._may(DESK, START + minute * 60_000)
    assert len(mail._sent) == 60 * 10 + 1


def test_a_mail_does_not_wait_for_the_callback_of_the_same_task(farm: Farm, post: MailServer, there: Receiver) -> None:
    there.answers += [status(500)]
    ended(farm, DESK, url=there.url())
    farm.go()
    assert len(post.postmaster.taken) == len(there.posts) == 1
    assert sorted(str(row[2]) for row in farm.rows()) == ["sent", "waiting"]


def test_by_tls_with_a_password_and_only_to_the_right_server(tmp_path: Path) -> None:
    made = Authority(tmp_path).certify("mail", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.file, made.key)
    mail = letter(1, "raven@farm.example", DESK, '{"subject": "x", "text": "y"}')
    with mail_server(context, ("raven", "p@ss/word")) as post:
        url = f"smtp://raven:p%40ss%2Fword@127.0.0.1:{post.port}?tls="
        with pytest.raises(Unavailable, match=r"certificate verify failed.*; name the file .* tls=/etc/raven/ca\.pem"):
            Mailer.of(f"{url}system").send(mail, 60)
        with pytest.raises(Unavailable, match="certificate is not valid for 'localhost'"):
            Mailer.of(f"{url}{made.trusted}".replace("127.0.0.1", "localhost")).send(mail, 60)
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1 answers 535") as caught:
            Mailer.of(f"{url}{made.trusted}".replace("p%40ss", "geheim")).send(mail, 60)
        assert "geheim" not in str(caught.value)
        assert post.postmaster.taken == []

        assert Mailer.of(f"{url}{made.trusted}").send(mail, 60) == (250, "")
    (taken,) = post.postmaster.taken
    assert (taken.by_tls, taken.login) == (True, "raven")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mail_server": None}, "mail_server: set it"),
        ({"mail_from": None}, "mail_from: set it"),
        ({"mail_from": "Raven <raven@farm.example>"}, "mail_from: "),
        ({"mail_domains": "news.example, @evil"}, "mail_domains: @evil"),
        ({"mail_operators": "alice"}, "mail_operators: "),
        ({"mail_server": "http://127.0.0.1"}, "mail_server: write it as"),
        ({"mail_server": "smtp://a:geheim@127.0.0.1"}, "a password goes by TLS alone"),
        ({"mail_server": "smtp://a:ge/heim@127.0.0.1"}, "mail_server: write it as"),
        ({"mail_server": "smtps://127.0.0.1?tls=/nonexistent"}, "mail_server: tls="),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(
    settings: dict[str, Any], why: str, connect: Connect, post: MailServer
) -> None:
    found = Settings(**(settings_of(post, "sqlite:///x") | settings))
    with pytest.raises(ConfigError) as caught:
        Courier(found, connect(), lambda: START, TLS)
    assert why in str(caught.value)
    assert "heim" not in str(caught.value)


# each state, by choice


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, ["done"]),
        ('{"notices": "all"}', ["preparing", "encoding", "publishing", "done"]),
        ('{"notices": ["encoding"]}', ["encoding"]),
        ('{"notices": []}', []),
        ("{broken", ["done"]),
    ],
)
def test_a_client_is_told_of_the_states_that_it_wants_in_their_order(
    options: str | None, expected: list[str], farm: Farm, there: Receiver
) -> None:
    farm.database.execute(
        "INSERT INTO tasks (source, callback_url, notify_email, options) VALUES ('/a', ?, '', ?)",
        (there.url(), options),
    )
    task = int(farm.database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])
    for state in ("preparing", "encoding", "encoding", "publishing"):
        with farm.database.transaction():
            farm.tasks.set_status(task, state)  # type: ignore[arg-type]
    with farm.database.transaction():
        farm.tasks.finish(task, "https://media.example/", 1.0, "{}", None)

    there.answers += [status(500)]  # what comes later waits for the first
    for _ in range(6):
        farm.go()
        farm.now += 31_000

    assert told(there) == [(task, state) for state in [*expected[:1], *expected]]


# operators


def trouble(database: Database, name: str, reason: str = "quarantined: 5 jobs in a row failed here") -> None:
    database.execute("INSERT INTO holds (name, reason, since) VALUES (?, ?, 1)", (name, reason))


def looked(farm: Farm, minutes: float) -> None:
    """So much later it is looked, and what is due is sent."""
    farm.now += round(minutes * MINUTE)
    farm.courier._looked = float("-inf")
    farm.go()


def test_operators_are_told_of_what_needs_them_together_and_seldom(farm: Farm, post: MailServer) -> None:
    farm.start(mail_operators="alice@ops.example, bob@ops.example", mail_minutes=30)
    trouble(farm.database, "one")
    trouble(farm.database, "two")
    trouble(farm.database, "three", "drained")
    looked(farm, 0)
    assert post.postmaster.taken == [], "what is over within a minute needs nobody"

    looked(farm, SETTLE_MS / MINUTE)
    first = post.postmaster.taken[:]
    assert sorted(one.recipients[0] for one in first) == ["alice@ops.example", "bob@ops.example"]
    assert first[0].mail["Subject"] == "Raven: 2 new"
    text = first[0].mail.get_content()
    assert "one: quarantined: 5 jobs" in text
    assert "two" in text
    assert "three" not in text, "an operator has said so"

    trouble(farm.database, "four")
    farm.database.execute("DELETE FROM holds WHERE name = 'one'")
    for _ in range(10):
        looked(farm, 2)
    assert post.postmaster.taken == first, "half an hour is not over"
    looked(farm, 10)
    assert [one.mail["Subject"] for one in post.postmaster.taken[2:]] == ["Raven: 1 new, 1 still there, 1 over"] * 2

    looked(farm, 600)
    assert len(post.postmaster.taken) == 4, "what was told is not told again"


def test_over_a_restart_operators_are_told_nothing_twice(farm: Farm, post: MailServer) -> None:
    operators = {"mail_operators": "alice@ops.example"}
    farm.start(**operators)
    trouble(farm.database, "one")
    looked(farm, 0)
    looked(farm, 2)
    assert len(post.postmaster.taken) == 1
    farm.start(**operators)
    for _ in range(3):
        looked(farm, 60)
    assert len(post.postmaster.taken) == 1
    (row,) = read_notices(farm.database, None, 10)
    assert (row.task_id, row.event, row.state) == (NOBODY, "alarm", "sent")


def test_operators_hear_of_a_broker_that_is_away_and_of_tasks_without_workers(farm: Farm, post: MailServer) -> None:
    settings = Settings(**(farm.settings | {"mail_operators": "alice@ops.example"}))
    away = {"broker away": "RabbitMQ does not answer"}
    farm.courier = Courier(settings, farm.connect(), lambda: farm.now, TLS, 60, away=lambda: away)
    farm.database.execute("INSERT INTO tasks (source, status) VALUES ('/a', 'new'), ('/b', 'encoding')")
    with closing(farm.courier):
        looked(farm, 0)
        looked(farm, 2)
    (mail,) = post.postmaster.taken
    for words in ("RabbitMQ does not answer", "no master is heard of", "no worker is heard of"):
        assert words in mail.mail.get_content()


def failed(farm: Farm, message: str, hours: float = 0) -> int:
    """A task that failed so long ago."""
    task = ended(farm, "", done=False)
    at = datetime.fromtimestamp(farm.now / 1000 - hours * 3600, UTC).strftime("%Y-%m-%d %H:%M:%S")
    farm.database.execute("UPDATE tasks SET message = ?, finished_at = ? WHERE id = ?", (message, at, task))
    return task


def test_operators_hear_once_of_tasks_that_failed_by_no_fault_of_their_clients(farm: Farm, post: MailServer) -> None:
    farm.start(mail_operators="alice@ops.example", mail_minutes=30)
    ours = [
        failed(farm, "internal error: KeyError: 'x' (after 5 attempts)"),
        failed(farm, "the output breaks the standards: video/720p/playlist.m3u8"),
        failed(farm, "ffmpeg ended with status 1: no room\nat all (after 5 attempts)"),
    ]
    for message in (
        "the source is empty",
        "profile: there is no x",
        "the source cannot be fetched: 503 (after 5 attempts)",
    ):
        failed(farm, message)
    failed(farm, "internal error: KeyError: 'old'", hours=25)
    looked(farm, 0)
    looked(farm, 2)
    (mail,) = post.postmaster.taken
    assert mail.mail["Subject"] == "Raven: 3 new"
    text = mail.mail.get_content()
    assert [line.split(":")[0].strip() for line in text.splitlines() if " failed: " in line] == [
        f"task {task} failed" for task in ours
    ]
    assert "no room at all" in text

    later = failed(farm, "internal error: KeyError: 'y'")
    looked(farm, 40)
    looked(farm, 40)
    assert [one.mail["Subject"] for one in post.postmaster.taken[1:]] == ["Raven: 1 new"]
    assert f"task {later} failed" in post.postmaster.taken[1].mail.get_content()
    farm.start(mail_operators="alice@ops.example", mail_minutes=30)
    farm.database.execute("DELETE FROM tasks WHERE id = ?", (ours[0],))
    for _ in range(3):
        looked(farm, 600)
    assert len(post.postmaster.taken) == 2, "neither after a restart nor when they are old"


def test_a_farm_in_which_all_fails_floods_nobody(farm: Farm, post: MailServer) -> None:
    farm.start(mail_operators="alice@ops.example", mail_minutes=30)
    for number in range(30):
        failed(farm, f"internal error: {number}")
    looked(farm, 0)
    looked(farm, 2)
    (mail,) = post.postmaster.taken
    assert mail.mail["Subject"] == f"Raven: {MOST_FAILED} new"


STORAGE = "storage: Connect timeout on endpoint URL"


def job(farm: Farm, state: str, attempt: int, message: str | None, changed: int = 0) -> None:
    """One that has run already, but for a first attempt that waits."""
    begun = attempt > 1 or state != "waiting"
    farm.database.execute(
        "INSERT INTO jobs (task_id, kind, position, lane, state, attempt, message, lease_until, changed_at)"
        " SELECT 1, 'encode', COUNT(*), 'worker', ?, ?, ?, ?, ? FROM jobs",
        (state, attempt, message, farm.now if begun else 0, farm.now - changed),
    )


@pytest.mark.parametrize("state", ["waiting", "queued", "running"])
def test_operators_hear_of_a_storage_that_is_away_or_refuses(state: str, farm: Farm, post: MailServer) -> None:
    farm.start(mail_operators="alice@ops.example")
    for _ in range(3):
        job(farm, state, 3, STORAGE)
    looked(farm, 0)
    farm.database.execute("UPDATE jobs SET changed_at = ?, lease_until = ?", (farm.now + MINUTE, farm.now + MINUTE))
    looked(farm, 1)
    (mail,) = post.postmaster.taken
    assert "the storage does not answer, or refuses: Connect timeout on endpoint URL" in mail.mail.get_content()

    farm.database.execute("UPDATE jobs SET state = 'done', message = NULL")
    looked(farm, 30)
    looked(farm, 1)
    assert [one.mail["Subject"] for one in post.postmaster.taken] == ["Raven: 1 new", "Raven: 1 over"]


@pytest.mark.parametrize(
    ("state", "attempt", "message", "minutes"),
    [
        ("waiting", 2, STORAGE, 0),  # once is no outage
        ("waiting", 4, "storage: no object tmp/1/chunk-000000.nut", 0),
        ("waiting", 4, "ffmpeg ended with status 1", 0),
        ("running", 4, STORAGE, 3),  # it has long fetched what it needs
        ("failed", 5, STORAGE, 0),
        ("waiting", 1, None, 0),
    ],
)
def test_a_job_that_failed_by_itself_is_no_storage_that_is_away(
    state: str, attempt: int, message: str | None, minutes: int, farm: Farm, post: MailServer
) -> None:
    farm.start(mail_operators="alice@ops.example")
    job(farm, state, attempt, message, minutes * MINUTE)

    looked(farm, 0)
    looked(farm, 1)

    assert post.postmaster.taken == []


def test_looking_for_a_storage_that_is_away_reads_nothing_that_waits_for_its_turn(farm: Farm, post: MailServer) -> None:
    if farm.database.about().name != "MariaDB":
        pytest.skip("SQLite does not tell what it reads")
    farm.database.execute(
        "INSERT INTO jobs (task_id, kind, position, lane) SELECT 2, 'encode', seq, 'worker' FROM seq_1_to_3000"
    )
    for _ in range(3):
        job(farm, "waiting", 3, None)

    def reads() -> int:
        return sum(int(row["Value"]) for row in farm.database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))

    before = reads()
    assert Alarms(farm.database, ("alice@ops.example",), 0).troubles(farm.now) == {}
    assert reads() - before < 100


def node(farm: Farm, name: str, state: str, slots: int = 0) -> None:
    farm.database.execute(
        "INSERT INTO nodes (name, role, instance, slots, build, state, seen_at)"
        " VALUES (?, 'worker', 'x', ?, '1', ?, ?)",
        (name, slots, state, farm.now + 600 * MINUTE),
    )


def test_operators_hear_that_tasks_wait_and_that_all_nodes_stand_still(farm: Farm, post: MailServer) -> None:
    """Though they have drained them all themselves, and may have forgotten it."""
    farm.start(mail_operators="alice@ops.example")
    farm.database.execute("INSERT INTO tasks (source, status) VALUES ('/b', 'encoding')")
    node(farm, "one", "drained")
    node(farm, "two", "memory: 0.1 GB free of 0.5 GB wanted")
    looked(farm, 0)
    looked(farm, 2)
    (mail,) = post.postmaster.taken
    assert "no worker takes jobs, and tasks wait (1 drained, 1 memory)" in mail.mail.get_content()

    node(farm, "three", "", slots=1)
    looked(farm, 29)
    looked(farm, 2)
    assert post.postmaster.taken[-1].mail["Subject"] == "Raven: 1 still there, 1 over"


def test_nodes_that_rest_as_the_storage_does_not_answer_are_no_trouble_of_their_own(
    farm: Farm, post: MailServer
) -> None:
    """Jobs tell of that, in words that help; one cause is one trouble."""
    farm.start(mail_operators="alice@ops.example")
    farm.database.execute("INSERT INTO tasks (source, status) VALUES ('/b', 'encoding')")
    node(farm, "one", "storage: it does not answer this node")
    looked(farm, 0)
    looked(farm, 2)
    assert post.postmaster.taken == []


def test_operators_hear_of_a_watcher_that_gets_nowhere() -> None:
    """A broker that is connected and takes nothing, as its disk is full, is not away."""
    broker, waits = LocalBroker(), Waits()

    assert troubles_of(broker, 0.0, waits) == {}
    waits.fault = "the broker did not take 3 of 3 jobs"
    assert troubles_of(broker, 0.0, waits) == {
        "watcher waits": "the watcher gets nowhere: the broker did not take 3 of 3 jobs"
    }
    broker.connected_since = lambda: None  # type: ignore[method-assign]
    assert list(troubles_of(broker, 0.0, waits)) == ["broker away"]


def test_operators_hear_once_of_a_database_that_is_away_for_long(
    post: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no row to write it into, so it goes at once."""
    monkeypatch.setattr("watcher.courier.AWAY_SECONDS", 0.0)
    url = f"mysql://raven:geheim@127.0.0.1:{free_port()}/raven"
    settings = Settings(**(settings_of(post, url) | {"mail_operators": "alice@ops.example, bob@ops.example"}))
    courier = Courier(settings, open_database(settings), lambda: START, TLS, 60)

    with at_work(courier):
        wait_until(lambda: len(post.postmaster.taken) == 2, "both are told")
        wait_until(lambda: courier._away_since == float("inf"), "once")

    assert [one.recipients[0] for one in post.postmaster.taken] == ["alice@ops.example", "bob@ops.example"]
    text = post.postmaster.taken[0].mail.get_content()
    assert "the database is away: MariaDB:" in text
    assert "geheim" not in text
