"""The CustomResourceDefinitions of our four kinds, generated from the models.

`python -m modelrefresh.api.schema FOLDER` writes one file per kind; equal models give equal
bytes. Knows scope, short names, columns and selectable fields, which no model says.
"""

import pathlib
import re
import sys
from dataclasses import dataclass
from typing import Any, Final

import yaml

from modelrefresh.api import names, structural
from modelrefresh.api.model import ApiModel
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec, ResidualSpec
from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.version import VersionSpec, VersionStatus

_NUMBER_LIKE: Final = re.compile(r"[-+]?[0-9][0-9.]*(e[-+]?[0-9]+)?")
_READY: Final = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    """Only shown with `-o wide`."""
    description: str

    def document(self) -> dict[str, Any]:
        """The column as the CRD states it."""
        priority = {"priority": 1} if self.wide else {}
        return {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description} | priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of our kinds."""

    name: str
    short: str
    spec: type[ApiModel]
    status: type[ApiModel] | None = None
    description: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    """Fields that `kubectl get --field-selector` takes."""

    @property
    def namespaced(self) -> bool:
        """Profiles alone belong to the cluster."""
        return self.name != names.PROFILE

    @property
    def plural(self) -> str:
        """Name of the resource."""
        return names.PLURALS[self.name]


class _Dumper(yaml.SafeDumper):
    """Quotes texts that other YAML readers take for numbers, such as 2e-5."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if _NUMBER_LIKE.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

_AGE: Final = Column(name="Age", type="date", path=".metadata.creationTimestamp", description="Time since creation.")
_STANDING: Final = (
    Column(
        name="Ready",
        path=f"{_READY}.status",
        description="Whether it is as it should be: a version serves, the residual is stored.",
    ),
    Column(name="Status", path=f"{_READY}.reason", description="Why, in one word."),
)

KINDS: Final = (
    Kind(
        name=names.REFRESH,
        short="mref",
        spec=RefreshSpec,
        status=RefreshStatus,
        description="ModelRefresh keeps a served model fresh: it trains the base on new text, adds the instruction "
        "residual, measures the result and serves it only if every gate passes.",
        columns=(
            *_STANDING,
            Column(name="Stage", path=".status.run.stage", description="Stage at work."),
            Column(name="Progress", path=".status.run.progress", description="Of that stage."),
            Column(name="Live", path=".status.live.version", description="Version that serves."),
            Column(name="Candidate", path=".status.candidate.version", description="Version of the current run."),
            Column(name="Fresh", path=".status.freshness", description="Newest document the live version has learned."),
            _AGE,
            Column(name="Run", path=".status.run.id", wide=True, description="Current or last run."),
            Column(name="Outcome", path=".status.run.outcome", wide=True, description="How that run ended."),
            Column(name="Next", path=".status.nextScheduleTime", wide=True, description="Next scheduled run."),
        ),
        selectable=(".spec.profile", ".spec.residualRef.name", ".spec.rollout.deployment.name"),
    ),
    Kind(
        name=names.RESIDUAL,
        short="ires",
        spec=ResidualSpec,
        status=ResidualStatus,
        description="InstructionResidual is the stored difference between an instruction-tuned model and its base.",
        columns=(
            *_STANDING,
            Column(name="Norm", path=".status.relativeNorm", description="Size relative to the base."),
            Column(name="Architecture", path=".status.architecture", description="Model class."),
            _AGE,
            Column(name="Digest", path=".status.digest", wide=True, description="Of the stored residual."),
        ),
        selectable=(".spec.profile",),
    ),
    Kind(
        name=names.MODEL_VERSION,
        short="mver",
        spec=VersionSpec,
        status=VersionStatus,
        description="ModelVersion is one sealed candidate: what it was made of, what was measured, where it serves.",
        columns=(
            Column(name="Refresh", path=".spec.refresh", description="ModelRefresh that made it."),
            Column(name="Verdict", path=".spec.verdict", description="What the gates said."),
            Column(name="Served", path=".status.served.deployment", description="Deployment that serves it."),
            Column(name="Strategy", path=".spec.lineage.strategy", description="How it was made."),
            Column(name="Delta", path=".spec.summary", description="Measured differences to the incumbent."),
            _AGE,
            Column(name="Digest", path=".spec.digest", wide=True, description="Content digest."),
            Column(name="Run", path=".spec.run", wide=True, description="Run that made it."),
        ),
        selectable=(".spec.refresh", ".spec.verdict"),
    ),
    Kind(
        name=names.PROFILE,
        short="rprof",
        spec=ProfileSpec,
        description="RefreshProfile holds what only a platform admin may decide: image, placement, resources, limits.",
        columns=(
            Column(name="Workspace", path=".spec.workspaceClaim", description="Claim for runs and versions."),
            Column(name="GPUs", type="integer", path=".spec.limits.gpusPerNode", description="Largest gpusPerNode."),
            Column(name="Nodes", type="integer", path=".spec.limits.nodes", description="Largest nodes."),
            Column(name="Queue", path=".spec.queue", description="Kueue LocalQueue."),
            _AGE,
            Column(name="Image", path=".spec.image", wide=True, description="Jobs image."),
        ),
    ),
)

_CATEGORIES: Final = ["refreshing", "ai"]
"""`kubectl get refreshing` lists all kinds; a category named like a kind would take that kind's name from kubectl."""


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": _CATEGORIES,
            },
            "versions": [_version(kind)],
        },
    }


def render(kind: Kind) -> str:
    """The definition as the text of its file."""
    head = "# Generated by `make crds` from operator/modelrefresh/api; do not edit.\n"
    return head + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind)},
        "additionalPrinterColumns": [column.document() for column in kind.columns],
        **({"subresources": {"status": {}}} if kind.status else {}),
        **({"selectableFields": [{"jsonPath": path} for path in kind.selectable]} if kind.selectable else {}),
    }


def _root(kind: Kind) -> dict[str, Any]:
    parts = {"spec": kind.spec} | ({"status": kind.status} if kind.status else {})
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **{name: structural.convert(part.model_json_schema(by_alias=True)) for name, part in parts.items()},
        },
    }


def main(folder: pathlib.Path) -> None:
    """Write the definitions of all kinds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / f"{names.GROUP}_{kind.plural}.yaml").write_text(render(kind))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
