"""Two replicas on a real cluster: who works, and what happens when the one that does is treated badly."""

import json
import pathlib
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hack.cluster import facts
from tests.runtime import replicas
from tests.runtime.replicas import Replica

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two replicas in one namespace."""

    kubectl: tuple[str, ...]
    both: tuple[Replica, Replica]

    def leader(self) -> Replica:
        """The one that works, as soon as exactly one does."""
        replicas.assert_soon(lambda: [one.leads() for one in self.both].count(True) == 1, "one leader")
        return next(one for one in self.both if one.leads())

    def other(self, than: Replica) -> Replica:
        """The other one."""
        return next(one for one in self.both if one is not than)

    def run(self, *arguments: str, given: object = None) -> str:
        """Run kubectl."""
        text = json.dumps(given) if given is not None else None
        done = subprocess.run((*self.kubectl, *arguments), input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def create_residual(self, name: str) -> None:
        """Somebody asks for work."""
        spec = {"base": {"uri": "pvc://models/base"}, "instruct": {"uri": "pvc://models/instruct"}}
        kind = {"apiVersion": "modelrefresh.dev/v1alpha1", "kind": "InstructionResidual"}
        self.run("create", "-f", "-", given={**kind, "metadata": {"name": name}, "spec": spec})

    def is_answered(self, name: str) -> bool:
        """Whether the operator has written what it thinks of a residual."""
        found: dict[str, Any] = json.loads(self.run("get", "instructionresidual", name, "-o", "json"))
        return "observedGeneration" in found.get("status", {})


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[Pair]:
    known = facts.read()
    namespace = f"port-{uuid.uuid4().hex[:8]}"
    base = (str(known.kubectl), f"--kubeconfig={known.kubeconfig}")
    for command in (
        ("apply", "--server-side", "--force-conflicts", "-f", str(replicas.ROOT / "crds")),
        ("create", "namespace", namespace),
    ):
        subprocess.run((*base, *command), check=True, capture_output=True)
    place = replicas.Place(namespace=namespace, kubeconfig=known.kubeconfig, folder=tmp_path)
    both = (replicas.start("one", place), replicas.start("two", place))
    pair = Pair(kubectl=(*base, f"--namespace={namespace}"), both=both)
    try:
        replicas.assert_soon(
            lambda: all(one.metric("modelrefresh_resync_timestamp_seconds") for one in both), "two replicas"
        )
        yield pair
        pair.run("delete", "instructionresiduals", "--all", "--timeout=60s")
    finally:
        for one in both:
            one.process.kill()
            one.process.wait()
        # A residual whose operator was killed must not hold its namespace for ever.
        for name in pair.run("get", "instructionresidual", "-o", "name").split():
            pair.run("patch", name, "--type=merge", '-p={"metadata":{"finalizers":null}}')
        subprocess.run((*base, "delete", "namespace", namespace, "--wait=false"), check=False, capture_output=True)


def test_one_replica_answers_a_new_object_and_the_other_stands_by(pair: Pair) -> None:
    leader = pair.leader()
    pair.create_residual("first")
    replicas.assert_soon(lambda: pair.is_answered("first"), "an answer")
    assert not pair.other(leader).leads()


def test_a_replica_takes_over_from_one_that_was_killed(pair: Pair) -> None:
    leader = pair.leader()
    leader.send(signal.SIGKILL)
    replicas.assert_soon(pair.other(leader).leads, "the other replica leads")
    pair.create_residual("second")
    replicas.assert_soon(lambda: pair.is_answered("second"), "an answer of the new leader")


def test_a_replica_that_was_asleep_finds_that_it_no_longer_leads(pair: Pair) -> None:
    leader = pair.leader()
    leader.send(signal.SIGSTOP)
    try:
        replicas.assert_soon(pair.other(leader).leads, "the other replica leads")
    finally:
        leader.send(signal.SIGCONT)
    replicas.assert_soon(lambda: leader.metric("modelrefresh_leader") == 0.0, "the sleeper stands by")
    assert pair.other(leader).leads()


def test_a_replica_that_is_told_to_end_hands_over_and_ends_well(pair: Pair) -> None:
    leader = pair.leader()
    told = time.monotonic()
    leader.send(signal.SIGTERM)
    assert leader.process.wait(timeout=20) == 0, leader.log.read_text()
    replicas.assert_soon(pair.other(leader).leads, "the other replica leads")
    # A Lease that is not given back is free for others after fifteen seconds.
    assert time.monotonic() - told < 15
