"""Who reaches what over the network: policies before pods, few connections, each with an end."""

import asyncio
import socket
import time
import urllib.request
from typing import Any

import pytest

from modelrefresh import reconcile
from modelrefresh.api import names
from modelrefresh.kube import kinds
from modelrefresh.manifests import network
from modelrefresh.manifests.network import Network
from modelrefresh_jobs.process import progress
from tests.attacks.catalogue import attack
from tests.chart import render
from tests.plan.sights import a_meta
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

PEERS = "whoever reaches a pod's network"
OPERATOR = {"podSelector": {"matchLabels": {"app": "operator"}}}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@attack(
    45,
    does="40 silent connections to a stage's progress page",
    by=PEERS,
    ends="contained: eight places, five seconds each; the stage goes on",
)
def test_silent_connections_take_few_places_and_give_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PEER_SECONDS", 0.5)
    position, port = progress.Progress(stage="train"), free_port()
    progress.serve(position, port=port, host="127.0.0.1")
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        give_up = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=5) as answer:
                    assert b'"stage": "train"' in answer.read()
                    break
            except OSError:
                assert time.monotonic() < give_up
    finally:
        for peer in peers:
            peer.close()


@attack(
    46,
    does="talking to a stage's pods, and from them to anything",
    by=PEERS,
    ends="contained by NetworkPolicies: progress for the operator, nodes among themselves, names, the hub",
)
@pytest.mark.parametrize("hub", [False, True])
def test_policies_let_in_the_operator_and_out_what_is_needed(*, hub: bool) -> None:
    made = list(network.policies(Network(progress_from=(OPERATOR,)), meta=a_meta(), kind=names.REFRESH, hub=hub))
    spec = made[0]["spec"]
    own = {"podSelector": {"matchLabels": {names.LABEL_OWNER_UID: a_meta().uid}}}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"from": [OPERATOR], "ports": [{"port": 9400, "protocol": "TCP"}]}, {"from": [own]}]
    assert spec["egress"][0] == {"to": [own]}
    assert [port["port"] for rule in spec["egress"][1:] for port in rule["ports"]] == [53, 53]
    assert len(made) == 1 + hub
    assert all(one["metadata"]["ownerReferences"][0]["uid"] == a_meta().uid for one in made)


@attack(
    46,
    does="the moment between a pod's start and its policy",
    by=PEERS,
    ends="contained: the policy is there before the Job",
)
def test_the_policy_comes_before_the_job() -> None:
    place = World()
    for _ in range(6):
        for key in (world.RESIDUAL, world.REFRESH):
            asyncio.run(
                reconcile.one_pass(place.cluster, key, network=Network(progress_from=(OPERATOR,)), now=place.now)
            )
        place.play()
        place.pass_time(20)
    created = [
        write.kind
        for write in place.cluster.writes
        if write.verb == "create" and write.kind in ("Job", "NetworkPolicy")
    ]
    assert created[:2] == ["NetworkPolicy", "Job"]
    assert created.count("NetworkPolicy") == len(place.cluster.all(kinds.NETWORK_POLICY, namespace=NAMESPACE))


def policies(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's own policy."""
    return dict(render.only("NetworkPolicy", values)["spec"])


@attack(
    18,
    does="/metrics from any pod of the cluster",
    by=PEERS,
    ends="contained where the network enforces policies: the monitoring namespace only",
)
def test_the_operator_s_page_is_for_who_is_named() -> None:
    spec = policies(render.DEFAULT)
    assert spec["policyTypes"] == ["Ingress"]
    [rule] = spec["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert policies({"networkPolicy": {"ingress": {"from": []}}})["ingress"] == []


@attack(
    46,
    does="an operator that talks to anything",
    by="the operator, taken over",
    ends="contained by choice: egress behind its own switch",
)
def test_egress_of_the_operator_has_a_switch() -> None:
    spec = policies({"networkPolicy": {"egress": {"enabled": True, "cidrs": ["10.0.0.1/32"]}}})
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"][-1]["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
