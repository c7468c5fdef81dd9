"""The event watcher: kopf, in a thread and loop of its own, says which objects changed.

The only module besides `__main__` that knows kopf. Nothing of kopf but watches, re-listing and
login is used: a handler puts keys on the queue and returns. Lost events are healed by
`runtime/resync.py`. kopf ends with every API fault it does not know, so it is started again.
"""

import asyncio
import collections
import contextlib
import datetime as dt
import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator

import kopf

from modelrefresh import metrics
from modelrefresh.kube import transport
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.runtime import watch_index

LOG = logging.getLogger(__name__)

Changed = Callable[[Kind, Document, bool], object]
"""Called in the watcher's thread with a kind, an object and whether it was deleted."""
Ended = Callable[[], object]
"""Called in the watcher's thread when it gives up."""

THREAD = "watcher"
_BACKOFF = (1.0, 30.0)
_RESTARTS, _WINDOW = 10, 600.0
"""After so many restarts in so many seconds the watcher gives up and the process is restarted."""
_CREDENTIALS = dt.timedelta(minutes=10)


class _Backoffs:
    """Seconds between tries of one request of kopf: growing, jittered, without an end."""

    def __iter__(self) -> Iterator[float]:
        seconds = 0.5
        while True:
            yield seconds * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads load, guards nothing
            seconds = min(seconds * 2, 15.0)


class Watcher:
    """Runs kopf until it is stopped, again after each of its ends."""

    def __init__(self, changed: Changed, ended: Ended, *, namespaces: tuple[str, ...]) -> None:
        """Watch these namespaces, or all at none."""
        self._changed = changed
        self._ended = ended
        self._namespaces = namespaces
        self._stop = threading.Event()
        self._halt: Callable[[], object] = lambda: None
        """Ends the kopf that runs now."""
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is a daemon, nobody must wait for it."""
        self._stop.set()
        # A loop that has ended already cannot be called, and need not be.
        with contextlib.suppress(RuntimeError):
            self._halt()

    def given_up(self) -> bool:
        """Whether kopf ended too often to be started again."""
        return self._given_up

    def _run(self) -> None:
        ends: collections.deque[float] = collections.deque(maxlen=_RESTARTS)
        backoff = _BACKOFF[0]
        while not self._stop.is_set():
            started = time.monotonic()
            self._watch()
            if self._stop.is_set():
                return
            now = time.monotonic()
            ends.append(now)
            if len(ends) == _RESTARTS and now - ends[0] < _WINDOW:
                LOG.error("the event watcher ended %d times in %.0f s; giving up", _RESTARTS, _WINDOW)
                self._given_up = True
                self._ended()
                return
            metrics.KOPF_RESTARTS.inc()
            backoff = _BACKOFF[0] if now - started > _WINDOW else min(backoff * 2, _BACKOFF[1])
            wait = backoff * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, guards nothing
            LOG.warning("the event watcher ended; starting it again in %.1f s", wait)
            self._stop.wait(wait)

    def _watch(self) -> None:
        try:
            asyncio.run(self._session())
        except Exception:
            # The boundary of the watcher: whatever ends kopf, a new one is started by the caller.
            LOG.exception("the event watcher failed")

    async def _session(self) -> None:
        flag = asyncio.Event()
        self._halt = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, flag.set)
        if self._stop.is_set():
            return
        await kopf.operator(
            registry=registry(self._changed),
            settings=settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=flag,
        )


def registry(changed: Changed) -> kopf.OperatorRegistry:
    """Handlers that pass each event on, one per kind."""
    handlers = kopf.OperatorRegistry()
    for kind in watch_index.WATCHED:
        _register(handlers, kind, changed)

    async def login(**_: object) -> kopf.ConnectionInfo:
        """Connect as `kube/transport.py` does, with the token that is valid now."""
        configuration = await transport.configure()
        # An expiry makes kopf log in again, so that a rotated token is read in time.
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            token=await transport.token(configuration),
            expiration=dt.datetime.now(tz=dt.UTC) + _CREDENTIALS,
        )

    kopf.on.login(registry=handlers, id="login")(login)
    return handlers


def settings() -> kopf.OperatorSettings:
    """Settings of kopf for watching thousands of objects without writing to any."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.queueing.idle_timeout = 0.5
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    for kind, selector in watch_index.SELECTORS.items():
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    chosen.networking.enforce_retry_after = True
    return chosen


def _register(handlers: kopf.OperatorRegistry, kind: Kind, changed: Changed) -> None:
    async def pass_on(event: Document, **_: object) -> None:
        """Objects of the first list come without a type; they exist."""
        changed(kind, dict(event["object"]), event.get("type") == "DELETED")

    kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=kind.plural)(pass_on)
