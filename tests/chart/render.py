"""Renders the chart with the real helm program and hands out the objects.

Knows: where helm comes from (PATH, else built like the cluster's other programs) and the value sets that the tests go
through. Refuses to know: what the objects should say.
"""

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import builds

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "modelrefresh"
DIGEST = "sha256:" + "0" * 64

USABLE = {"namespaces": ["*"], "allowedSources": ["pvc://workspace"]}
"""What a profile cannot do without, beside its image."""

DEFAULT: dict[str, Any] = {}
NAMESPACED: dict[str, Any] = {"watchNamespaces": ["team-a", "team-b"]}
PLAIN_PROFILE: dict[str, Any] = {
    "profile": {
        "create": True,
        "hook": False,
        "image": f"registry.example:5000/modelrefresh/jobs@{DIGEST}",
        "spec": USABLE,
    }
}
WITHOUT_CRDS: dict[str, Any] = {"crds": {"enabled": False}}
EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "refresher",
    "commonLabels": {"team": "platform"},
    "image": {"registry": "registry.example:5000", "digest": DIGEST},
    "imagePullSecrets": [{"name": "pull"}],
    "logging": {"level": "DEBUG"},
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "podAnnotations": {"example.org/a": "b"},
    "podLabels": {"example.org/c": "d"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "networkPolicy": {"egress": {"enabled": True, "cidrs": ["10.0.0.1/32"]}},
    "hostUsers": False,
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "grafanaDashboard": {"enabled": True},
    },
    "profile": {
        "create": True,
        "image": f"registry.example:5000/modelrefresh/jobs@{DIGEST}",
        "spec": {**USABLE, "workspaceClaim": "models"},
    },
}
MATRIX = {
    "default": DEFAULT,
    "namespaced": NAMESPACED,
    "without-crds": WITHOUT_CRDS,
    "plain-profile": PLAIN_PROFILE,
    "everything": EVERYTHING,
}


@functools.cache
def helm() -> str:
    """Path of the helm program."""
    return shutil.which("helm") or str(builds.binary(builds.HELM))


def run(*arguments: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """What helm answered, with `values` on standard input."""
    command = (helm(), *arguments, "--values", "-")
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def objects(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object of the chart with these values."""
    return _objects(json.dumps(values))


@functools.cache
def _objects(values: str) -> list[dict[str, Any]]:
    answer = run("template", "release", str(CHART), "--namespace", "platform", values=json.loads(values))
    assert answer.returncode == 0, answer.stderr
    return [document for document in yaml.safe_load_all(answer.stdout) if document]


def of_kind(kind: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of one kind."""
    return [document for document in objects(values) if document["kind"] == kind]


def only(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The one object of a kind."""
    [document] = of_kind(kind, values)
    return document
