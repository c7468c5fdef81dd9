"""Which replica works: the holder of one Lease, and until when it is sure of that.

Knows the Lease and a monotonic clock. Another holder's term is over when its Lease has not
changed for its whole duration as seen from here; clocks of machines are never compared. Our
own term counts from before the request that renewed it, and ends before others may take over,
so that a write that is under way has time to end. Written by hand because the elector of
`kubernetes.aio` 37 goes on working after a failed renewal.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from modelrefresh import errors, metrics
from modelrefresh.kube import kinds
from modelrefresh.kube.port import Document, Port

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """Where the Lease is and how long things take, in seconds."""

    namespace: str
    name: str
    identity: str
    """Of this process, never used again by another one."""
    duration: float = 15.0
    """Others may take over when the Lease has not changed for so long."""
    deadline: float = 10.0
    """We stop writing so long after the last renewal was asked for."""
    period: float = 2.0


class Elector:
    """Takes, renews and gives back the Lease."""

    def __init__(
        self,
        port: Port,
        terms: LeaseTerms,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], dt.datetime] = lambda: dt.datetime.now(tz=dt.UTC),
    ) -> None:
        """Use a port of its own, without a fence and without others' traffic."""
        self._port = port
        self._terms = terms
        self._clock = clock
        self._wall = wall
        self._renewed = float("-inf")
        self._seen: tuple[str, float] = ("", float("-inf"))
        """Version of another holder's Lease, and since when it has not changed."""
        self.on_lead: Callable[[], None] = lambda: None
        """Called with each new term."""
        self._leading = False

    def leads(self) -> bool:
        """Whether writes are allowed now."""
        return self._clock() < self._renewed + self._terms.deadline

    def fence(self) -> float:
        """Seconds until another replica may take over.

        Raises:
            NotLeaderError: the Lease is not surely ours.
        """
        if not self.leads():
            raise errors.NotLeaderError(
                f"Lease {self._terms.namespace}/{self._terms.name} is not surely held by {self._terms.identity}"
            )
        return self._renewed + self._terms.duration - self._clock()

    async def run(self) -> None:
        """Try for ever to take the Lease, then to keep it."""
        while True:
            try:
                async with asyncio.timeout(self._terms.deadline / 2):
                    await self.step()
            except (errors.ApiError, TimeoutError) as error:
                LOG.warning("Lease %s/%s: %r", self._terms.namespace, self._terms.name, error)
            self._note()
            await asyncio.sleep(self._terms.period)

    async def step(self) -> None:
        """Look at the Lease once, and take or renew it if we may.

        Raises:
            ApiError: nothing is known; the term runs on until its end.
        """
        asked = self._clock()
        terms = self._terms
        try:
            lease = await self._port.get(kinds.LEASE, namespace=terms.namespace, name=terms.name)
        except errors.NotFoundError:
            await self._port.create(kinds.LEASE, self._document(transitions=0, acquired=None))
            self._renewed = asked
            return
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") == terms.identity:
            document = self._document(transitions=spec.get("leaseTransitions", 0), acquired=spec.get("acquireTime"))
        elif self._may_take(lease):
            self._renewed = float("-inf")
            document = self._document(transitions=spec.get("leaseTransitions", 0) + 1, acquired=None)
        else:
            self._renewed = float("-inf")
            return
        document["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
        await self._port.patch(kinds.LEASE, document)
        self._renewed = asked

    async def release(self) -> None:
        """Give the Lease back, so that another replica need not wait for its end."""
        terms = self._terms
        held, self._renewed = self.leads(), float("-inf")
        self._note()
        if not held:
            return
        lease = await self._port.get(kinds.LEASE, namespace=terms.namespace, name=terms.name)
        if lease.get("spec", {}).get("holderIdentity") == terms.identity:
            metadata = {key: lease["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
            await self._port.patch(
                kinds.LEASE, self._envelope(metadata, {"holderIdentity": "", "leaseDurationSeconds": 1})
            )

    def _may_take(self, lease: Document) -> bool:
        spec = lease.get("spec", {})
        version, since = self._seen
        if lease["metadata"]["resourceVersion"] != version:
            version, since = self._seen = (lease["metadata"]["resourceVersion"], self._clock())
        if not spec.get("holderIdentity"):
            return True
        return self._clock() >= since + float(spec.get("leaseDurationSeconds") or self._terms.duration)

    def _document(self, *, transitions: int, acquired: str | None) -> Document:
        now = self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": round(self._terms.duration),
            "leaseTransitions": transitions,
            "acquireTime": acquired or now,
            "renewTime": now,
        }
        return self._envelope({"name": self._terms.name, "namespace": self._terms.namespace}, spec)

    def _envelope(self, metadata: Document, spec: Document) -> Document:
        kind = kinds.LEASE
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}

    def _note(self) -> None:
        leading = self.leads()
        metrics.LEADER.set(leading)
        if leading != self._leading:
            self._leading = leading
            LOG.info("%s %s", self._terms.identity, "leads" if leading else "stands by")
            if leading:
                self.on_lead()
            else:
                metrics.stand_by()
