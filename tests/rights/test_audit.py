"""What the operator asked of the API server so far, by the server's own audit log; runs after the end-to-end tests.

Knows how an audit line tells who asked for what. Needs the cluster from source, which keeps that log.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import facts

pytestmark = pytest.mark.cluster
NO_RIGHT_IS_MISSING = ("because it is being terminated", "exceeded quota")
"""Words of refusals that the scenarios bring about on purpose."""


@pytest.fixture(scope="module")
def requests() -> list[dict[str, Any]]:
    """Every answered request of an operator whose release stands; one that is uninstalled loses its rights first."""
    cluster = facts.read()
    if cluster.audit_log is None:
        pytest.skip("this cluster keeps no audit log; CLUSTER=source does")
    command = (cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "get", "serviceaccounts", "-A", "-o", "json")
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["items"]
    standing = {f"system:serviceaccount:{one['metadata']['namespace']}:{one['metadata']['name']}" for one in listed}
    found = [request for request in _of_operators(cluster.audit_log) if request["user"]["username"] in standing]
    if not found:
        pytest.skip("no release of the chart stands on this cluster; install one, or run `make demo` first")
    return found


def _of_operators(log: Path) -> Iterator[dict[str, Any]]:
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if '"userAgent":"modelrefresh-operator' in line and line.endswith("\n"):
                yield json.loads(line)


def test_nothing_was_asked_that_is_not_granted(requests: list[dict[str, Any]]) -> None:
    answers = [request.get("responseStatus", {}) for request in requests]
    refused = [answer.get("message", "") for answer in answers if answer.get("code") in {401, 403}]
    assert [message for message in refused if not any(words in message for words in NO_RIGHT_IS_MISSING)] == []


def test_secrets_were_never_asked_for(requests: list[dict[str, Any]]) -> None:
    asked = {request.get("objectRef", {}).get("resource") for request in requests}
    assert "modelrefreshes" in asked
    assert asked.isdisjoint({"secrets", "configmaps", "serviceaccounts", "nodes", "namespaces"})


def test_no_request_was_malformed(requests: list[dict[str, Any]]) -> None:
    wrong = [r["requestURI"] for r in requests if r.get("responseStatus", {}).get("code") in {400, 405, 415, 422}]
    assert wrong == []
