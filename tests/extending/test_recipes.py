"""The recipes of docs/extending.md, followed with toys: a file and its row, and nothing else is touched."""

import pathlib

import pytest

from modelrefresh.api import evaluation, model
from modelrefresh.contract import metrics, uris
from modelrefresh.contract.artifacts import Workspace
from modelrefresh.contract.metrics import Metric
from modelrefresh.contract.uris import Scheme
from modelrefresh.contract.vocabulary import Task
from modelrefresh.errors import SpecError
from modelrefresh_jobs.evaluation import metrics as scorers
from modelrefresh_jobs.evaluation import scoring
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.evaluation.suites import Item
from modelrefresh_jobs.models import families, model_folder
from modelrefresh_jobs.models.families import Family
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import schemes, sources
from modelrefresh_jobs.storage.run_folders import RunFolders
from tests.jobs import builders

STABLE = Family(
    title="StableLM 2",
    architecture="StableLmForCausalLM",
    model_type="stablelm",
    absent={"vocab_size": 50304, "hidden_size": 2560, "intermediate_size": 6912},
    own={"layer_norm_eps": 1e-5, "use_qkv_bias": False, "qk_layernorm": False, "use_parallel_residual": False},
)
HERE = pathlib.Path(__file__).parent
GATED = {
    "suites": [{"name": "facts", "uri": "pvc://evals/facts.jsonl", "task": "question-answering"}],
    "gates": [{"suite": "facts", "metric": "answered", "minDifference": "0"}],
}


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row in the contract's table, and the folder in which the scorer lies."""
    row = Metric(name="answered", task=Task.QUESTION_ANSWERING)
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, row))
    monkeypatch.setattr(scorers, "__path__", [*scorers.__path__, str(HERE / "metrics")])


@pytest.mark.usefixtures("metric")
def test_a_new_metric_scores_replies() -> None:
    item = Item(id="1", question="?", answer="a", pattern=None)
    figures = scoring.score(Task.QUESTION_ANSWERING, item, Reply(text="b", stopped=True))
    assert figures == {"exact_match": 0.0, "contains": 0.0, "answered": 1.0}


@pytest.mark.usefixtures("metric")
def test_a_gate_may_name_a_new_metric() -> None:
    assert model.parse(evaluation.Evaluation, GATED).gates[0].metric == "answered"


def test_a_gate_may_not_name_a_metric_without_a_row() -> None:
    with pytest.raises(SpecError, match='"answered" is no metric of suite "facts"'):
        model.parse(evaluation.Evaluation, GATED)


def folders_in(root: pathlib.Path) -> RunFolders:
    return RunFolders(workspace=Workspace(root=root), owner="chat", run="r1")


def test_a_new_scheme_is_found_by_its_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemes, "__path__", [*schemes.__path__, str(HERE / "schemes")])
    (tmp_path / "toys" / "bear").mkdir(parents=True)
    assert sources.resolve("toy://bear", folders_in(tmp_path)) == tmp_path / "toys" / "bear"


def test_a_scheme_without_a_file_is_refused_with_those_that_have_one(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="toy:// sources are not supported; use file, hf or pvc"):
        sources.resolve("toy://bear", folders_in(tmp_path))


def test_every_scheme_that_a_spec_may_name_has_a_file() -> None:
    files = {path.stem for path in pathlib.Path(schemes.__path__[0]).glob("[a-z]*.py")}
    assert {scheme.name for scheme in uris.SCHEMES} == files - {"file"}


def test_a_row_of_a_scheme_says_which_uris_have_its_form() -> None:
    toy = Scheme(name="toy", form=r"toy://[a-z]+", example="toy://NAME", says="is not toy://NAME")
    assert (toy.fits("toy://bear"), toy.fits("toy://Bear"), toy.fits("toy://")) == (True, False, False)


def test_a_new_family_is_accepted_by_its_row(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(families, "FAMILIES", (*families.FAMILIES, STABLE))
        folder = builders.tiny_model(tmp_path / "model", arch=STABLE.architecture)
        assert model_folder.accept(folder).family is STABLE
    with pytest.raises(StageError, match="StableLmForCausalLM"):
        model_folder.accept(folder)
