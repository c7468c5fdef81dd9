"""The operator's process: reads its settings, puts the parts together and ends in order.

Knows which part needs which other and what happens on SIGTERM: passes finish or stop, the
Lease is given back, the process ends within five seconds. Every decision is elsewhere.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass

from modelrefresh import errors, logs, reconcile, settings
from modelrefresh.kube import transport
from modelrefresh.kube.client import Client
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document
from modelrefresh.kube.rate_limit import Bucket
from modelrefresh.kube.transport import Transport
from modelrefresh.runtime import access, event_watcher, health
from modelrefresh.runtime.lease import Elector, LeaseTerms
from modelrefresh.runtime.queue import Key, WorkQueue
from modelrefresh.runtime.resync import Resync
from modelrefresh.runtime.watch_index import Routes
from modelrefresh.runtime.workers import Workers

LOG = logging.getLogger("modelrefresh")

_FINISH_SECONDS = 2.0
_RELEASE_SECONDS = 1.0
_USAGE_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The parts of one process."""

    wires: tuple[Transport, Transport]
    unfenced: Client
    """For the Lease and for questions that change nothing."""
    elector: Elector
    resync: Resync
    workers: Workers
    watcher: event_watcher.Watcher


def main() -> None:
    """Run until SIGTERM or a failure that a restart may heal."""
    try:
        chosen = settings.parse(os.environ)
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_USAGE_ERROR)
    logs.configure(level=chosen.log_level)
    code = asyncio.run(_run(chosen))
    logging.shutdown()
    # The watcher's threads may still wait for the API server; nothing after this point needs them.
    os._exit(code)


async def _run(chosen: settings.Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    operator = await _assemble(chosen, ended=lambda: loop.call_soon_threadsafe(stop.set))
    started = time.monotonic()
    signs = health.HealthChecks(
        resync_age=operator.resync.age,
        resync_limit=3 * chosen.resync_seconds + 60,
        watching=lambda: not operator.watcher.given_up(),
        uptime=lambda: time.monotonic() - started,
    )
    page = await health.serve(signs, port=chosen.health_port)
    duties = asyncio.create_task(_work(operator, chosen))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({duties, waiting}, return_when=asyncio.FIRST_COMPLETED)
    failed = duties.done() or operator.watcher.given_up()
    LOG.info("stopping")
    await _finish(operator, duties)
    waiting.cancel()
    await page.cleanup()
    for wire in operator.wires:
        await wire.close()
    return int(failed)


async def _assemble(chosen: settings.Settings, *, ended: event_watcher.Ended) -> Operator:
    configuration = await transport.configure()
    busy = Transport(configuration, in_flight=chosen.requests_in_flight, seconds=chosen.request_seconds)
    # The Lease must be renewed also while all places for other requests are taken.
    quiet = Transport(configuration, in_flight=4, seconds=chosen.request_seconds)
    unfenced = Client(quiet, fence=lambda: chosen.request_seconds, bucket=Bucket(rate=1000, burst=1000))
    identity = f"{chosen.pod}_{uuid.uuid4()}"
    elector = Elector(unfenced, LeaseTerms(namespace=chosen.own_namespace, name=chosen.lease, identity=identity))
    bucket = Bucket(rate=chosen.writes_per_second, burst=chosen.write_burst)
    port = Client(busy, fence=elector.fence, bucket=bucket)
    queue, known = WorkQueue(share=chosen.share), Routes()
    resync = Resync(port, queue=queue, known=known, namespaces=chosen.namespaces)
    elector.on_lead = resync.soon

    async def one_pass(key: Key) -> float | None:
        return await reconcile.one_pass(port, key, network=chosen.network, now=dt.datetime.now(tz=dt.UTC))

    def look(kind: Kind, document: Document, deleted: bool) -> None:  # noqa: FBT001 -- the shape of handlers.Changed
        for key in known.news(kind, document, deleted=deleted):
            queue.add(key)

    loop = asyncio.get_running_loop()
    watcher = event_watcher.Watcher(
        lambda *change: loop.call_soon_threadsafe(look, *change), ended, namespaces=chosen.namespaces
    )
    workers = Workers(queue, one_pass, elector=elector, seconds=chosen.pass_seconds)
    return Operator(
        wires=(busy, quiet), unfenced=unfenced, elector=elector, resync=resync, workers=workers, watcher=watcher
    )


async def _work(operator: Operator, chosen: settings.Settings) -> None:
    """Do all duties; ends only by cancellation or a failure of this software."""
    try:
        await access.await_kinds(operator.unfenced, namespaces=chosen.namespaces)
        operator.watcher.start()
        async with asyncio.TaskGroup() as duties:
            duties.create_task(access.report(operator.unfenced, namespaces=chosen.namespaces))
            duties.create_task(operator.elector.run())
            duties.create_task(operator.resync.run(period=chosen.resync_seconds))
            duties.create_task(operator.workers.run(count=chosen.workers))
    except Exception:
        # The boundary of the process: it ends and Kubernetes starts it again.
        LOG.exception("the operator failed")


async def _finish(operator: Operator, duties: asyncio.Task[None]) -> None:
    operator.watcher.stop()
    await operator.workers.stop(seconds=_FINISH_SECONDS)
    duties.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await duties
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            await operator.elector.release()
    except (errors.ApiError, TimeoutError) as error:
        LOG.warning("the Lease was not given back, others wait for its end: %r", error)


if __name__ == "__main__":
    main()
