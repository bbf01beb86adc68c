"""A TCP proxy that tests put between a daemon and a server, to do to their connections what networks do."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from tests.servers.process import HOST

_BLOCK = 1 << 14
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing resets
_ANSWER = 10


class Proxy:
    """Passes on what comes to its port of 127.0.0.1 to another one, as long as it is told nothing else.

    All verbs may be called from any thread, and hold for the open connections as for new ones.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._rate: float | None = None
        self._left: int | None = None
        self._hangs_then = False
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows, self._over = asyncio.Event(), asyncio.Event()
        self._flows.set()
        listening: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listening)), name="proxy", daemon=True)
        self._thread.start()
        self.port = listening.result(_ANSWER)

    def heal(self) -> None:
        """All is well again; what was held back goes on its way."""
        self._do(self._set())

    def hang(self) -> None:
        """Accepts and passes nothing, not even an end: a cable is out, or a host is frozen."""
        self._do(self._set(flows=False))

    def slow(self, bytes_per_second: float) -> None:
        """Each direction of each connection passes no more than this."""
        self._do(self._set(rate=bytes_per_second))

    def reset_after(self, sent: int) -> None:
        """Resets the connection that brings the number of bytes that clients have sent over `sent`; once."""
        self._do(self._set(left=sent))

    def hang_after(self, sent: int) -> None:
        """Hangs as soon as clients have sent more bytes than `sent`: in the middle of what they say."""
        self._do(self._set(left=sent, hangs_then=True))

    @property
    def hangs(self) -> bool:
        """Whether nothing passes."""
        return not self._flows.is_set()

    def reset(self) -> None:
        """Resets all open connections; new ones are passed on."""
        self._do(self._reset())

    def refuse(self) -> None:
        """Resets all connections, and every new one at once."""
        self._do(self._set(refuses=True))
        self.reset()

    def close(self) -> None:
        """Resets all connections and ends."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_ANSWER)

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_ANSWER)

    # on the loop's thread

    async def _run(self, listening: "Future[int]") -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._serve, HOST, 0) as server:
            listening.set_result(int(server.sockets[0].getsockname()[1]))
            await self._over.wait()

    async def _set(
        self,
        *,
        rate: float | None = None,
        left: int | None = None,
        hangs_then: bool = False,
        refuses: bool = False,
        flows: bool = True,
    ) -> None:
        self._rate, self._left, self._hangs_then, self._refuses = rate, left, hangs_then, refuses
        self._flows.set() if flows else self._flows.clear()

    async def _reset(self) -> None:
        for writer in list(self._writers):
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flows.wait()
            if self._refuses:
                await self._reset()
                return
            to_reader, to_writer = await asyncio.open_connection(HOST, self._target)
            self._writers.add(to_writer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, to_writer, from_client=True))
                    group.create_task(self._pump(to_reader, writer, from_client=False))
            finally:
                self._writers.discard(to_writer)
                to_writer.transport.abort()
        except (OSError, ExceptionGroup):  # one side has gone, or the server is down: so does the other side see it
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool) -> None:
        while block := await reader.read(_BLOCK):
            await self._flows.wait()
            if self._rate is not None:
                await asyncio.sleep(len(block) / self._rate)
            if from_client and self._left is not None:
                self._left -= len(block)
                if self._left < 0:
                    self._left = None
                    if not self._hangs_then:
                        raise ConnectionResetError
                    self._flows.clear()
                    await self._flows.wait()
            writer.write(block)
            await writer.drain()
        await self._flows.wait()
        if writer.can_write_eof():
            writer.write_eof()
