"""The operator's own pod: hardened as Pod Security's `restricted` asks, and a little further."""

from typing import Any

import pytest

from tests.chart import render


def _pod(values: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = render.only("Deployment", values)["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("name", render.MATRIX)
def test_the_pod_meets_restricted(name: str) -> None:
    pod = _pod(render.MATRIX[name])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
    assert {kind for volume in pod["volumes"] for kind in volume} == {"name", "emptyDir"}
    [container] = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "privileged" not in container["securityContext"]


def test_the_root_file_system_is_read_only_and_scratch_is_limited() -> None:
    pod = _pod(render.DEFAULT)
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"]] == ["64Mi"]


def test_memory_and_scratch_are_bounded() -> None:
    resources = _pod(render.DEFAULT)["containers"][0]["resources"]
    assert {"memory", "ephemeral-storage"} <= resources["limits"].keys()
    assert {"cpu", "memory", "ephemeral-storage"} <= resources["requests"].keys()


def test_only_the_operators_pod_gets_the_token() -> None:
    assert render.only("ServiceAccount", render.DEFAULT)["automountServiceAccountToken"] is False
    assert _pod(render.DEFAULT)["automountServiceAccountToken"] is True


def test_probes_ask_the_port_that_the_pod_opens() -> None:
    [container] = _pod(render.DEFAULT)["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }


def test_a_digest_beats_the_tag() -> None:
    assert _pod(render.DEFAULT)["containers"][0]["image"] == "modelrefresh/operator:0.1.0"
    assert (
        _pod(render.EVERYTHING)["containers"][0]["image"]
        == f"registry.example:5000/modelrefresh/operator@{render.DIGEST}"
    )


def test_two_replicas_are_spread_and_never_all_evicted() -> None:
    assert render.only("Deployment", render.DEFAULT)["spec"]["replicas"] == 2
    assert _pod(render.DEFAULT)["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert render.only("PodDisruptionBudget", render.DEFAULT)["spec"]["maxUnavailable"] == 1


def test_services_and_budgets_select_exactly_the_operators_pods() -> None:
    labels = render.only("Deployment", render.EVERYTHING)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        render.only("Deployment", render.EVERYTHING)["spec"]["selector"]["matchLabels"],
        render.only("Service", render.EVERYTHING)["spec"]["selector"],
        render.only("PodDisruptionBudget", render.EVERYTHING)["spec"]["selector"]["matchLabels"],
        render.only("NetworkPolicy", render.EVERYTHING)["spec"]["podSelector"]["matchLabels"],
        render.only("ServiceMonitor", render.EVERYTHING)["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert all(selector == selectors[0] for selector in selectors)
