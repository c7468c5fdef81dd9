"""What the scenarios share: the operator of the chart, one tiny pair of models, and a namespace for each file."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from hack.cluster import facts
from hack.cluster.kubectl import Kubectl
from hack.images import cache
from tests.e2e import place, replicas
from tests.e2e.place import Images, Place
from tests.e2e.replicas import Replicas
from tests.jobs import builders


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Kubectl against the cluster of `make cluster`."""
    cluster = facts.read()
    return Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="session")
def images() -> Images:
    """What `make images` pushed."""
    noted = json.loads(cache.RECORD.read_text(encoding="utf-8"))
    return Images(operator=noted["operator"], jobs=noted["jobs"])


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl, images: Images) -> Replicas:
    """The operator, two replicas, ready."""
    return replicas.install(kubectl, facts.read(), image=images.operator)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> builders.Pair:
    """A tiny base and its instruct model."""
    return builders.tiny_pair(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def new_place(kubectl: Kubectl, images: Images, operator: Replicas) -> Iterator[Callable[[str], Place]]:
    """Make a namespace that goes with the file's last test."""
    operator.await_all()
    with ExitStack() as stack:

        def make(name: str) -> Place:
            made = place.create(name, kubectl, images)
            if made is None:
                pytest.skip(
                    "the workspace of this cluster is not a folder of this machine, so no model can be put there"
                )
            stack.callback(place.remove, made.namespace, kubectl)
            return made

        yield make
