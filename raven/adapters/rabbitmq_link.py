"""One connection to RabbitMQ and the thread that owns it; all others hand it functions to run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pika
import structlog
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.channel import Channel

from raven import tls
from raven.errors import ConfigError, Unavailable

FORM = "write it as amqp://user:password@host:5672/, for TLS as amqps://user:password@host:5671/?tls=FILE"
ESCAPE = "in a password, spell : / ? # [ ] @ by percent signs"
HEARTBEAT = 15  # s; below 5 gives false alarms; a peer that was silent for 5 s longer is dead
HANDSHAKE = 10  # s for the network, and for all of network and broker, until the next host is tried
BLOCKED = 60  # s that a broker short of memory or disk may read nothing, until the connection is given up
ANSWER = 20.0  # s that a caller waits for the broker before it hears Unavailable
RECONNECT = 1.0  # s between attempts to connect, or to consume
BUSY = "the connection stands"
FAREWELL = 5.0  # s for an orderly end

T = TypeVar("T")
log = structlog.get_logger()


def parameters(url: str) -> list[pika.URLParameters]:
    """One set per listed host: amqp://user:password@host1:5672,host2:5672/vhost."""
    try:
        parts = urlsplit(url)
    except ValueError:  # whose words may hold a piece of the password, as below
        raise ConfigError(f"broker: {FORM}; {ESCAPE}") from None
    login, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in ("amqp", "amqps") or not hosts:
        raise ConfigError(f"broker: {FORM}")
    query, options = _options(parts.scheme, parts.query)
    found = []
    for host in hosts.split(","):
        netloc = f"{login}@{host}" if login else host
        try:
            parameters = pika.URLParameters(urlunsplit((parts.scheme, netloc, parts.path, query, "")))
        except (ValueError, TypeError):
            raise ConfigError(f"broker: {FORM}; {ESCAPE}") from None
        parameters.ssl_options = options
        parameters.heartbeat = HEARTBEAT
        parameters.blocked_connection_timeout = BLOCKED
        parameters.socket_timeout = parameters.stack_timeout = HANDSHAKE
        found.append(parameters)
    return found


def _options(scheme: str, query: str) -> tuple[str, pika.SSLOptions | None]:
    """The query without `tls`, and what it says: whom to trust (by default whom this host does). Raises ConfigError."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    trusted = asked.pop("tls", None)
    if trusted is not None and (scheme != "amqps" or not trusted):
        raise ConfigError(f"broker: tls stands behind amqps://; {FORM}")
    if scheme != "amqps":
        return urlencode(asked), None
    return urlencode(asked), pika.SSLOptions(tls.trusting("broker", trusted or tls.SYSTEM))


def words(error: Any) -> str:
    """What went wrong, out of the wrappers that pika puts around it."""
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return words(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return words(error.exception)
    return tls.told(str(error) or repr(error))


class Link:
    """Connects to one host after the other and hands the main channel to `set_up`; after any loss again, for ever."""

    def __init__(self, url: str, set_up: Callable[[Channel], None]) -> None:
        self._hosts, self._set_up = deque(parameters(url)), set_up
        self._loop = IOLoop()
        self._connection: SelectConnection | None = None
        self._work: deque[Callable[[], None]] = deque()
        self._called = False  # the loop has been told of work
        self._asked: set[Future[Any]] = set()
        self._fault = "not connected yet"
        self._stopping = False
        self.since: float | None = None
        """Monotonic time since when work is done, None while it waits."""
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()

    # on any thread

    def submit(self, function: Callable[[], None]) -> None:
        """Runs `function` on the link's thread, in the order of submission; while the broker is away, it waits."""
        self._work.append(function)
        if not self._called:  # one call for all that comes until then
            self._called = True
            self._loop.add_callback_threadsafe(self._work_off)

    def ask(self, answer: Future[T], function: Callable[[], None]) -> T:
        """Submits `function`, which sees to it that `answer` gets a result, and waits for it. Raises Unavailable."""

        def on_thread() -> None:
            if answer.set_running_or_notify_cancel():
                self._asked.add(answer)
                answer.add_done_callback(self._asked.discard)
                function()

        self.submit(on_thread)
        try:
            return answer.result(timeout=ANSWER)
        except FutureTimeout as error:
            if answer.cancel():  # what has not begun never will, and is not kept for a broker that stays away
                with contextlib.suppress(ValueError):  # it was this thread's turn just now
                    self._work.remove(on_thread)
            raise Unavailable(f"RabbitMQ does not answer: {self._fault}") from error

    def close(self) -> None:
        """Ends the connection and the thread."""
        self._stopping = True
        self._loop.add_callback_threadsafe(self._stop)
        self._thread.join(timeout=2 * FAREWELL)

    # on the link's thread

    def ready(self) -> None:
        """Of `set_up`: all is there that the work needs."""
        self.since, self._fault = time.monotonic(), BUSY
        log.info("broker connected", host=self._hosts[0].host)
        self._work_off()

    def later(self, function: Callable[[], None]) -> None:
        """Submits `function` after a moment: what the broker has refused it may grant then."""
        self._loop.call_later(RECONNECT, lambda: self.submit(function))

    def channel(self, opened: Callable[[Channel], None], closed: Callable[[Channel, Exception], None]) -> Channel:
        """One more channel, which can be used from `opened` to `closed`."""
        if self._connection is None:
            raise Unavailable("RabbitMQ is away")
        channel = self._connection.channel(on_open_callback=opened)
        channel.add_on_close_callback(closed)
        return channel

    def _work_off(self) -> None:
        self._called = False
        while self._work and self.since is not None and self._connection is not None and self._connection.is_open:
            self._work.popleft()()

    def _run(self) -> None:
        self._loop.call_later(0, self._connect)
        while not self._stopping:
            try:
                self._loop.start()
            except Exception as error:  # a callback broke: what is half done ends with the connection
                log.exception("broker thread broke")
                self._lost(error)
                if self._connection is None:  # so the attempt to connect is half done: nothing of it may come back
                    self._loop.close()
                    self._loop = IOLoop()
                    self._connect_later()
        self._loop.close()

    def _connect(self) -> None:
        SelectConnection.create_connection([self._hosts[0]], self._attempted, custom_ioloop=self._loop)

    def _connect_later(self) -> None:
        """To the next host."""
        self._hosts.rotate(-1)
        self._loop.call_later(RECONNECT, self._connect)

    def _attempted(self, outcome: Any) -> None:
        if isinstance(outcome, SelectConnection):
            self._connection = outcome
            outcome.add_on_close_callback(self._closed)
            outcome.add_on_connection_blocked_callback(self._blocked)
            outcome.add_on_connection_unblocked_callback(self._unblocked)
            self.channel(self._set_up, self._main_channel_closed)
        else:
            self._lost(outcome)
            self._connect_later()

    def _blocked(self, _: object, frame: Any) -> None:
        self._fault = f"it is blocked, {frame.method.reason}"

    def _unblocked(self, _: object, __: object) -> None:
        self._fault = BUSY

    def _main_channel_closed(self, _: Channel, reason: Exception) -> None:
        """With its connection, or because something was refused: the next connection declares all queues again."""
        self._lost(reason)

    def _closed(self, _: object, __: object) -> None:
        self._connection = None
        if self._stopping:
            self._loop.stop()
        else:
            self._connect_later()

    def _lost(self, reason: Exception) -> None:
        """Nothing more goes over this connection."""
        self.since, self._fault = None, words(reason)
        if not self._stopping:
            log.warning("broker lost", host=self._hosts[0].host, fault=self._fault)
        for answer in list(self._asked):
            answer.set_exception(Unavailable(f"RabbitMQ: {self._fault}"))
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _stop(self) -> None:
        if self._connection is None:  # pika cannot end an attempt to connect in order (1.4.4: it fails in an assertion)
            self._loop.stop()
            return
        self._loop.call_later(FAREWELL, self._loop.stop)  # where nothing passes, no answer comes
        if self._connection.is_open:
            self._connection.close()
