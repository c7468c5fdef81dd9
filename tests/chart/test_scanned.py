"""What kube-score says of the chart and of a stage's Job: nothing critical, but what is named here with its reason."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from hack.cluster import builds
from modelrefresh.api import names
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.manifests import job, network
from modelrefresh.manifests.network import Network
from modelrefresh.plan import prerequisites
from modelrefresh.plan.attempts import stage_steps
from tests import builders
from tests.chart import render
from tests.plan.sights import a_meta, a_run, a_sight, a_status

ACCEPTED: Final = {
    "container-image-pull-policy": "images go by digest or by a release's tag; Always would ask the registry",
    "container-resources": "no limit of processor time: it is compressible, and who is throttled holds GPUs for longer",
    "container-security-context-user-group-id": "65532 is the images' own user, without a name or rights on the node",
}
"""Checks whose findings are right of others and wrong here, each with its reason."""


def stage() -> list[dict[str, Any]]:
    """The Job of a stage and its policy, by the smallest profile."""
    seen = a_sight(status=a_status(run=a_run(Stage.TRAIN)))
    assert seen.status.run is not None
    start = stage_steps.start_action(
        prerequisites.ready(seen), seen.status.run, seen.status.run.stages[1].evolve(attempt=1)
    )
    made = job.build(start, builders.profile_spec(), meta=a_meta(), kind=names.REFRESH, nonce="0" * 32)
    return [
        made,
        *network.policies(Network(progress_from=({"podSelector": {}},)), meta=a_meta(), kind=names.REFRESH, hub=False),
    ]


def findings(documents: list[dict[str, Any]]) -> Iterator[str]:
    """Every critical finding that is not accepted."""
    text = yaml.safe_dump_all(documents)
    command = [str(builds.binary(builds.KUBE_SCORE)), "score", "--output-format", "json", "-"]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    for found in json.loads(answer.stdout):
        for check in found["checks"] or ():
            if not check["skipped"] and check["grade"] == 1 and check["check"]["id"] not in ACCEPTED:
                said = "; ".join(comment["summary"] for comment in check["comments"] or ())
                yield f"{found['object_name']}: {check['check']['id']}: {said}"


@pytest.mark.parametrize("values", render.MATRIX)
def test_nothing_critical_is_found_in_the_chart(values: str) -> None:
    assert list(findings(render.objects(render.MATRIX[values]))) == []


def test_nothing_critical_is_found_in_the_job_of_a_stage() -> None:
    assert list(findings(stage())) == []


def test_a_fault_that_is_planted_is_found() -> None:
    spoilt = stage()
    spoilt[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
    assert any("container-security-context" in found for found in findings(spoilt))
