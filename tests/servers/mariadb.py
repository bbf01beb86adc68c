"""A private MariaDB server for tests."""

import os
import secrets
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.authority import Certificate
from tests.servers.process import (
    HOST,
    ChildProcess,
    ServerError,
    clean_environment,
    free_port,
    missing_program,
    program,
    run,
    wait_until,
)

_TIMEOUT = 60
_LOG_SIZE = "--innodb-log-file-size=8M"  # the same for installing and running
_COMMON = [
    _LOG_SIZE, "--innodb-buffer-pool-size=32M", "--innodb-use-native-aio=0", "--performance-schema=0",
    "--innodb-buffer-pool-dump-at-shutdown=0", "--innodb-buffer-pool-load-at-startup=0",
]  # fmt: skip
_FORGETFUL = [
    "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0",
    "--innodb-fast-shutdown=2", "--skip-log-bin",
]  # fmt: skip


class MariaDb:
    """A MariaDB server with its data in one directory, on a free port of 127.0.0.1, or of another address."""

    user = "bob"

    def __init__(self, directory: Path, durable: bool, options: Sequence[str] = (), host: str = HOST) -> None:
        self.host = host
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self._directory = directory.resolve()
        self._data = self._directory / "data"
        self._durable, self._extra = durable, list(options)
        self._system_user = "mysql" if os.geteuid() == 0 else None
        self._env = clean_environment(self._directory)
        self._child: ChildProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Say which Debian package is missing, if one is."""
        return missing_program({
            "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server", "mariadb": "mariadb-client",
        })  # fmt: skip

    @classmethod
    def start(
        cls,
        directory: Path,
        durable: bool = False,
        options: Sequence[str] = (),
        tls: Certificate | None = None,
        host: str = HOST,
    ) -> "MariaDb":
        """Start a new server; unless it is durable, a kill loses committed rows. `options` are added to its command."""
        by_tls = [f"--ssl-cert={tls.file}", f"--ssl-key={tls.key}"] if tls else []
        server = cls(directory, durable, [*options, *by_tls], host)
        server._install()
        server.restart()
        return server

    @property
    def pid(self) -> int:
        """Of the server's process, while it runs."""
        if self._child is None:
            raise ServerError("MariaDB does not run")
        return self._child.pid

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL for the administrator."""
        self._execute(f"CREATE DATABASE {_identifier(name)} CHARACTER SET utf8mb4")
        return f"mysql://{self.user}:{self.password}@{self.host}:{self.port}/{name}"

    def drop_database(self, name: str) -> None:
        """Remove a database with all it contains."""
        self._execute(f"DROP DATABASE {_identifier(name)}")

    def create_user(self, name: str, password: str, grants: list[str]) -> None:
        """Create a user, or replace one, with grants such as "SELECT, INSERT ON shop.orders"."""
        account = f"{_text(name)}@'%'"
        statements = [f"CREATE OR REPLACE USER {account} IDENTIFIED BY {_text(password)}"]
        statements += [f"GRANT {grant} TO {account}" for grant in grants]
        self._execute(";\n".join(statements))

    def run_script(
        self,
        name: str,
        sql_text: str,
        user: str | None = None,
        password: str | None = None,
    ) -> str:
        """Load SQL text into a database with the plain command line client, as an administrator would."""
        if user is None or password is None:
            user, password = self.user, self.password
        return self._client([name], sql_text, user, password)

    def dump(self, name: str) -> str:
        """A database as the documented backup has it: a script that makes it anew."""
        return self._run_program("mariadb-dump", ["--single-transaction", name], "", self.user, self.password)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        """End the server in an orderly way; restart starts it again with its data."""
        if self._child is not None:
            self._child.terminate()

    def close(self) -> None:
        """End the server for good, as fast as possible."""
        self.kill()

    def restart(self) -> None:
        """Start the server again with its data on the same port, after stopping it if it runs."""
        self.stop()
        command = [
            program("mariadbd"),
            *self._options(),
            *_COMMON,
            *([] if self._durable else _FORGETFUL),
            *self._extra,
        ]
        log = self._directory / "mariadbd.log"
        self._child = ChildProcess("mariadbd", command, log=log, env=self._env, user=self._system_user)
        wait_until(self._greets, _TIMEOUT, self._child)

    def _options(self) -> list[str]:
        return [
            "--no-defaults",  # has to be the first one: nothing of /etc/mysql is read
            f"--datadir={self._data}",
            f"--init-file={self._data / 'init.sql'}",
            "--socket=socket",  # below the data directory, and short enough wherever that is
            "--pid-file=pid",
            f"--tmpdir={self._data}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--max-connections=200",
        ]

    def _install(self) -> None:
        """Make the data directory, and the file that makes the users before the port opens."""
        self._data.mkdir(parents=True, mode=0o700)
        (self._data / "init.sql").write_text(self._init_sql(), encoding="utf-8")
        if self._system_user is not None:
            self._give_to(self._system_user)
        run(
            [
                program("mariadb-install-db"), "--no-defaults", f"--datadir={self._data}", _LOG_SIZE,
                "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
                "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--innodb-use-native-aio=0",
            ],
            self._env | {"TMPDIR": str(self._data)}, user=self._system_user,
        )  # fmt: skip

    def _give_to(self, user: str) -> None:
        """MariaDB does not want to run as root: let its own user have the data."""
        for path in (self._data, self._data / "init.sql"):
            shutil.chown(path, user, user)
        try:
            run(["test", "-w", str(self._data)], self._env, user=user)
        except ServerError as error:
            message = f"User {user} cannot reach {self._data}: use private_directory(), not tmp_path."
            raise ServerError(message) from error

    def _init_sql(self) -> str:
        """One statement a line, as MariaDB wants it; root has no password, so there is to be no root."""
        account = f"'{self.user}'@'%'"
        return (
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
            "DELETE FROM mysql.global_priv WHERE User IN ('root', '');\n"
            "FLUSH PRIVILEGES;\n"
        )

    def _greets(self) -> bool:
        """The server speaks first: length, number, then the protocol version 10."""
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            return connection.recv(5)[4:] == b"\n"

    def _execute(self, sql: str) -> None:
        self._client([], sql, self.user, self.password)

    def _client(self, arguments: list[str], sql: str, user: str, password: str) -> str:
        return self._run_program("mariadb", ["--batch", *arguments], sql, user, password)

    def _run_program(self, name: str, arguments: list[str], sql: str, user: str, password: str) -> str:
        command = [
            program(name), "--no-defaults", "--protocol=tcp", f"--host={self.host}",
            f"--port={self.port}", f"--user={user}", "--default-character-set=utf8mb4", *arguments,
        ]  # fmt: skip
        return run(command, self._env | {"MYSQL_PWD": password}, text=sql)


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
