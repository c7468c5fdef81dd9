"""Run in a tree that has the toy target: a run rolls its candidate into it, and what it watches follows."""

from modelrefresh.api.status.run import Outcome
from modelrefresh.kube import kinds
from modelrefresh.runtime import access, watch_index
from modelrefresh.targets import toy  # type: ignore[attr-defined]
from tests.reconcile import world

place = world.World({"spec.rollout": {"toy": {"name": "sign"}}})
consent = {"modelrefresh.dev/allow": "news"}
place.cluster.add(toy.KIND, {"metadata": {"name": "sign", "namespace": world.NAMESPACE, "annotations": consent}})
status = place.settle()

assert status.run is not None
assert status.run.outcome is Outcome.PROMOTED, status
[sign] = place.cluster.all(toy.KIND)
assert status.live is not None
assert sign["data"]["digest"] == status.live.digest == status.candidate.digest  # type: ignore[union-attr]  # promoted
assert sign["data"]["model"] == f"/models/versions/{status.live.digest}"
assert place.served() is None, "the Deployment is not the target and stays as it is"

routes = watch_index.Routes()
routes.keys(kinds.MODEL_REFRESH, place.cluster.all(kinds.MODEL_REFRESH)[0])
assert routes.keys(toy.KIND, sign) == {world.REFRESH}
assert toy.KIND in watch_index.WATCHED
assert (toy.KIND, "", toy.RIGHTS) in access.RULES
