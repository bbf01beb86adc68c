"""A private Ceph cluster with an S3 gateway for tests."""

import secrets
import uuid
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import boto3
from botocore.config import Config

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
_KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
}
_PROGRAMS = {
    "ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd", "radosgw": "radosgw",
    "ceph": "ceph-common", "ceph-authtool": "ceph-common", "monmaptool": "ceph-common",
    "radosgw-admin": "ceph-common",
}  # fmt: skip
# One of each, no waiting, and unless it is durable everything in memory: so it is ready after 2 seconds.
# Without "rgw cache" a gateway that took the place of a killed one does not wait 30 s for that one's answers.
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:{host}:{mon_port}/0]
mon initial members = a
public addr = {host}
cluster addr = {host}
ms bind ipv6 = false
ms bind msgr1 = false
ms bind port min = {port_min}
ms bind port max = {port_max}
auth allow insecure global id reclaim = false
keyring = {home}/keyring
run dir = {home}
crash dir = {home}
admin socket =
pid file = {home}/$name.pid
log file = {home}/$name.log
log max recent = 100
mon client hunt interval = 0.2
mon client hunt interval backoff = 1.2
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
mon osd nearfull ratio = .95
mon osd backfillfull ratio = .96
mon osd full ratio = .97
osd failsafe full ratio = .98
[mon]
mon data = {home}/mon
mon cluster log to file = false
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
mon election timeout = 1
[osd]
osd data = {home}/osd
osd objectstore = {store}
memstore device bytes = 2147483648
bluestore block size = 4294967296
bluestore block db create = false
bluestore block wal create = false
bluestore fsck on mount = false
bluestore fsck on mkfs = false
bluestore cache autotune = false
bluestore cache size = 67108864
osd op num shards = 1
osd op num threads per shard = 2
osd mon report interval = 1
osd heartbeat interval = 2
[client]
rgw data = {home}/rgw
objecter tick interval = 0.2
rgw frontends = beast endpoint={address}:{port} tcp_nodelay=1{tls}
rgw thread pool size = 32
rgw num rados handles = 1
rgw dynamic resharding = false
rgw enable usage log = false
rgw enable ops log = false
rgw enable quota threads = false
rgw run sync thread = false
rgw override bucket index max shards = 1
rgw gc max objs = 3
rgw lc max objs = 3
rgw cache enabled = false
"""


class CephRgw:
    """A Ceph monitor, an OSD and an S3 gateway, on free ports of 127.0.0.1; the gateway may have another address."""

    def __init__(self, directory: Path, durable: bool, tls: Certificate | None = None, host: str = HOST) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.tls, self._host = tls, host
        self.endpoint = f"http://{host}:{self.port}"
        self.access_key = secrets.token_hex(10)
        self.secret_key = secrets.token_hex(20)
        self._directory = directory.resolve()
        self._configuration = self._directory / "ceph.conf"
        self._env = clean_environment(self._directory)
        self._store = "bluestore" if durable else "memstore"
        self._monitor: ChildProcess | None = None
        self._osd: ChildProcess | None = None
        self._gateway: ChildProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Say which Debian package is missing, if one is."""
        return missing_program(_PROGRAMS)

    @classmethod
    def start(
        cls, directory: Path, durable: bool = False, tls: Certificate | None = None, host: str = HOST
    ) -> "CephRgw":
        """Start a new cluster and its gateway with one S3 user; unless it is durable, its OSD cannot be killed.

        `tls`: what it also listens with on `tls_port`.
        """
        server = cls(directory, durable, tls, host)
        try:
            server._configure()
            server._start_monitor()
            server._make_osd()
            server.start_osd()
            server.start_gateway()
            server._create_s3_user()
        except ServerError:
            server.stop()
            raise
        return server

    def create_bucket(self, name: str) -> str:
        """Create a bucket and return its URL."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}?endpoint={self.endpoint}"

    def by_tls(self, url: str, trusted: Path | str) -> str:
        """The URL of a bucket, by TLS."""
        return url.replace(self.endpoint, f"https://{HOST}:{self.tls_port}") + f"&tls={trusted}"

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket with its objects and unfinished uploads."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for item in page.get("Contents", []):
                client.delete_object(Bucket=name, Key=item["Key"])
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
            for item in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=name, Key=item["Key"], UploadId=item["UploadId"])
        client.delete_bucket(Bucket=name)

    def client(self, access_key: str | None = None, secret_key: str | None = None) -> Any:
        """Return a boto3 client, with keys of another user if there are any.

        Over HTTPS this Ceph refuses the checksums that boto3 adds by itself.
        """
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id=access_key or self.access_key, aws_secret_access_key=secret_key or self.secret_key,
            config=Config(
                request_checksum_calculation="when_required", response_checksum_validation="when_required"
            ),
        )  # fmt: skip

    def script(self, file: Path) -> str:
        """What an administrator's script says that calls radosgw-admin."""
        admin = f"{program('radosgw-admin')} -c {self._configuration}"
        return run(["sh", str(file)], self._env | {"RADOSGW_ADMIN": admin})

    def administer(self, *command: str) -> str:
        """What `radosgw-admin` says to a command."""
        return run([program("radosgw-admin"), "-c", str(self._configuration), *command], self._env)

    @property
    def pids(self) -> list[int]:
        """Of its daemons that run."""
        return [child.pid for child in (self._monitor, self._osd, self._gateway) if child is not None]

    def kill_gateway(self) -> None:
        """End the gateway with SIGKILL; the objects stay."""
        if self._gateway is not None:
            self._gateway.kill()

    def start_gateway(self) -> None:
        """Start the gateway again on the same port, after killing it if it runs."""
        self.begin_gateway()
        self.await_gateway()

    def begin_gateway(self) -> None:
        """The same without waiting: as long as the OSD is away, it does not answer."""
        self.kill_gateway()
        self._gateway = self._daemon("radosgw", "-n", "client.rgw.a")

    def await_gateway(self) -> None:
        """Until it answers."""
        if self._gateway is not None:
            wait_until(self._answers, _TIMEOUT, self._gateway)

    def kill_osd(self) -> None:
        """End the OSD with SIGKILL: the gateway waits for it, as long as it takes."""
        if self._osd is not None:
            self._osd.kill()

    def start_osd(self) -> None:
        """Start the OSD again, after killing it if it runs. Nothing waits for it: the gateway does by itself."""
        self.kill_osd()
        self._osd = self._daemon("ceph-osd", "-i", "0")

    def freeze_osd(self) -> None:
        """Stop the OSD where it is: all that asks for objects hangs."""
        if self._osd is not None:
            self._osd.freeze()

    def thaw_osd(self) -> None:
        """Let the OSD go on."""
        if self._osd is not None:
            self._osd.thaw()

    def stop(self) -> None:
        """End all for good."""
        self.kill_gateway()
        self.kill_osd()
        if self._monitor is not None:
            self._monitor.kill()

    close = stop

    def _configure(self) -> None:
        for name in ("mon", "osd", "rgw"):
            (self._directory / name).mkdir(parents=True)
        fsid, mon_port = str(uuid.uuid4()), free_port()
        port_min = min(free_port(), 65000)  # Ceph itself looks for free ports from here on
        text = _CONFIGURATION.format(
            fsid=fsid, host=HOST, mon_port=mon_port, port_min=port_min, port_max=port_min + 500,
            home=self._directory, address=self._host, port=self.port, store=self._store, tls=self._tls(),
        )  # fmt: skip
        self._configuration.write_text(text, encoding="utf-8")
        monitor = ["--addv", "a", f"[v2:{HOST}:{mon_port}]"]
        self._run("monmaptool", "--create", "--fsid", fsid, *monitor, str(self._directory / "monmap"))
        self._make_keys()

    def _tls(self) -> str:
        if self.tls is None:
            return ""
        return f" ssl_endpoint={HOST}:{self.tls_port} ssl_certificate={self.tls.both}"

    def _make_keys(self) -> None:
        """The monitor imports every key of this file, so no daemon has to be registered afterwards."""
        keyring = str(self._directory / "keyring")
        self._run("ceph-authtool", "--create-keyring", keyring)
        for name, rights in _KEYS.items():
            options = [word for target, right in rights.items() for word in ("--cap", target, right)]
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *options)

    def _start_monitor(self) -> None:
        monmap, keyring = self._directory / "monmap", self._directory / "keyring"
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(monmap), "--keyring", str(keyring))
        self._monitor = self._daemon("ceph-mon", "-i", "a")

    def _make_osd(self) -> None:
        identity = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", str(_TIMEOUT), "osd", "new", identity)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)

    def _create_s3_user(self) -> None:
        keys = ["--access-key", self.access_key, "--secret-key", self.secret_key]
        self._run("radosgw-admin", "user", "create", "--uid=bob", "--display-name=Bob", *keys)

    def _answers(self) -> bool:
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.endpoint}/", timeout=5) as response:
            return bool(response.status == 200)

    def _run(self, name: str, *arguments: str) -> None:
        run([program(name), "-c", str(self._configuration), *arguments], self._env)

    def _daemon(self, name: str, *arguments: str) -> ChildProcess:
        command = [program(name), "-c", str(self._configuration), *arguments, "-f"]
        return ChildProcess(name, command, log=self._directory / f"{name}.output", env=self._env)
