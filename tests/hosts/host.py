"""A host as far as the kernel's namespaces go. Nothing of it outlives its thread, so a killed test leaves nothing."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from tests.hosts.firewall import firewall
from tests.servers.process import ServerError, clean_environment, launch_here, missing_program, program, run

T = TypeVar("T")
_NEW_MOUNTS, _NEW_HOST_NAME, _NEW_NETWORK = 0x00020000, 0x04000000, 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_OWN_FOLDERS = ("/srv", "/opt", "/run", "/var/cache", "/usr/local/sbin")
_PROGRAMS = {"ip": "iproute2", "nft": "nftables", "mount": "mount", "systemd-sysusers": "systemd"}


def missing() -> str | None:
    """Say which Debian package is missing, if one is."""
    return missing_program(_PROGRAMS)


def forbidden() -> str | None:
    """Say why this kernel lets us make no hosts, if it does not."""
    try:
        with closing(Host("trial")) as host:
            host.run("ip", "link", "add", "name", "bridge", "type", "bridge")
            host.run("nft", "-f", "-", text=firewall(outward=()))
    except (OSError, ServerError) as error:
        return f"hosts in namespaces cannot be made here: {error} (as root, and not in every container)"
    return None


class Host:
    """What is called on its thread, and every program that this starts, is on this host."""

    def __init__(self, name: str) -> None:
        """Raises OSError where that is not allowed."""
        self.name = name
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"host-{name}")
        try:
            self.network = self.call(self._leave)
        except OSError:
            self.close()
            raise

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """What a function returns on this host."""
        return self.begin(function, *arguments).result()

    def begin(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Calls it on this host, as soon as what was begun before has ended."""
        return self._thread.submit(function, *arguments)

    def run(self, *command: str | Path, text: str = "", user: str | None = None, **settings: str) -> str:
        """What a command says on this host."""
        environment = clean_environment(Path("/")) | settings
        name, *words = map(str, command)
        return self.call(lambda: run([program(name), *words], environment, user=user, text=text))

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file that only this host has, below its own folders or /etc."""
        self.call(_write, Path(path), content, mode)

    def close(self) -> None:
        """Its network and its folders are gone as soon as the last process on it is."""
        self._thread.shutdown()

    def _leave(self) -> str:
        """On its thread: leaves the machine that the tests run on; the path of the new network."""
        if _LIBC.unshare(_NEW_MOUNTS | _NEW_HOST_NAME | _NEW_NETWORK) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        launch_here()
        socket.sethostname(self.name)
        _do("mount", "--make-rprivate", "/")
        _let_in(Path(sys.base_prefix))
        _do("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/mnt")
        _do("cp", "-a", "/etc/.", "/mnt")
        _do("mount", "--move", "/mnt", "/etc")
        for folder in _OWN_FOLDERS:
            _do("mount", "-t", "tmpfs", "-o", "mode=755", "none", folder)
        _do("ip", "link", "set", "lo", "up")
        return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"


class Switch:
    """What hosts are plugged into; it leads nowhere else."""

    def __init__(self) -> None:
        self._host = Host("switch")
        self._host.run("ip", "link", "add", "name", "bridge", "type", "bridge")
        self._host.run("ip", "link", "set", "bridge", "up")

    def plug(self, host: Host, address: str) -> None:
        """Gives a host an address in the switch's network, and no route to another one."""
        port = f"to-{address}"[-15:]  # names of links are short
        peer = ["type", "veth", "peer", "name", "eth0", "netns", host.network]
        self._host.run("ip", "link", "add", "name", port, *peer)
        self._host.run("ip", "link", "set", port, "master", "bridge", "up")
        host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")

    def close(self) -> None:
        self._host.close()


@contextmanager
def at(host: Host) -> Iterator[None]:
    """The calling thread, and all that it starts meanwhile, has the network of this host."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(host.network).open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(network: int) -> None:
    if _LIBC.setns(network, _NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _do(*command: str) -> None:
    run([program(command[0]), *command[1:]], clean_environment(Path("/")))


def _let_in(folder: Path) -> None:
    """Lets all users reach a folder, say a Python in root's home, and nothing else there."""
    closed = [path for path in reversed(folder.parents) if not path.stat().st_mode & 0o001]
    if closed:
        _do("mount", "--bind", str(folder), "/mnt")
        _do("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(closed[0]))
        folder.mkdir(parents=True)
        _do("mount", "--move", "/mnt", str(folder))


def _write(path: Path, content: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode)
    path.write_text(content, "utf-8")
