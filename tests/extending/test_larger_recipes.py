"""The recipes of docs/extending.md for a stage and a target, followed in a copy of the tree."""

import pathlib

from tests.extending import tree

STAGE = {
    "stage/contract.py": "operator/modelrefresh/contract/stages/toy.py",
    "stage/plan.py": "operator/modelrefresh/plan/stages/toy.py",
    "stage/worker.py": "images/jobs/modelrefresh_jobs/stages/toy.py",
}
STAGE_ROWS = {
    "operator/modelrefresh/contract/vocabulary.py": {'    TRAIN = "train"\n': '    TOY = "toy"\n    TRAIN = "train"\n'},
    "operator/modelrefresh/plan/stages/order.py": {
        "train.STAGE,": "toy.STAGE, train.STAGE,",
        "search, train\n": "search, toy, train\n",
    },
}
TARGET = {"target/toy.py": "operator/modelrefresh/targets/toy.py"}
TOY_FIELD = '''class ToyTarget(ApiModel):
    """The ConfigMap that says what to serve."""

    field: ClassVar[str] = "toy"
    kind: ClassVar[str] = "ConfigMap"
    name: ObjectName
    """Its name."""
    container: Name | None = None
    """Not asked for."""


class Rollout(ApiModel):
'''
TWO_FIELDS = """    toy: ToyTarget | None = None
    deployment: DeploymentTarget | None = None
"""
TARGET_ROWS = {
    "operator/modelrefresh/targets/table.py": {
        "(deployment,)": "(deployment, toy)",
        "import deployment\n": "import deployment, toy\n",
    },
    "operator/modelrefresh/api/rollout.py": {
        "class Rollout(ApiModel):\n": TOY_FIELD,
        "    deployment: DeploymentTarget\n": TWO_FIELDS,
        "    def target(self) -> DeploymentTarget:\n": "    def target(self) -> DeploymentTarget | ToyTarget | None:\n",
        "        return self.deployment\n": "        return self.toy or self.deployment\n",
    },
}


def test_a_new_stage_is_a_file_on_each_side_and_two_rows(tmp_path: pathlib.Path) -> None:
    made = tree.extended(tmp_path / "tree", STAGE, STAGE_ROWS)
    assert tree.fault_of(made, "stage/tried.py", tmp_path) == ""


def test_a_new_target_is_a_file_a_row_and_a_field(tmp_path: pathlib.Path) -> None:
    made = tree.extended(tmp_path / "tree", TARGET, TARGET_ROWS)
    assert tree.fault_of(made, "target/tried.py") == ""
