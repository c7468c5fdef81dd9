"""A first candidate with nothing to go back to, where no stock model is asked for: how its rollout ends."""

import dataclasses
import datetime

from modelrefresh.api.conditions import Reason
from modelrefresh.api.status.refresh import RefreshStatus, Rollout
from modelrefresh.api.status.run import Outcome
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.actions import Serve
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import ObservedRefresh
from tests.plan.sights import NEWER, NOW, a_deployment, a_meta, a_ref, a_run, a_sight, a_version, inputs_of

LATE = NOW + datetime.timedelta(seconds=1201)
OTHER = "8" * 64
ABSOLUTE = {"suite": "knowledge", "metric": "exact_match", "versus": "Absolute", "minScore": "0.5"}
NO_STOCK: dict[str, object] = {"spec.rollout.stock": "None", "spec.evaluation.gates": [ABSOLUTE]}


def stuck(**change: object) -> ObservedRefresh:
    """The first candidate was put into the Deployment, and is not available."""
    status = RefreshStatus(
        run=a_run(Stage.EVALUATE, inputs=inputs_of(NO_STOCK)),
        candidate=a_ref(NEWER),
        rollout=Rollout(to=a_ref(NEWER), start_time=NOW, applied=True),
    )
    target = a_deployment(digest=NEWER, settled=False, message="crashing")
    sight: dict[str, object] = {"status": status, "versions": (a_version(NEWER),), "target": target}
    return a_sight(NO_STOCK, **(sight | change))


def given_up() -> ObservedRefresh:
    """The same after its deadline."""
    observed = stuck()
    return dataclasses.replace(observed, status=decide(observed, LATE).status)


def test_a_first_candidate_past_its_deadline_ends_its_run_and_is_held() -> None:
    plan = decide(stuck(), LATE)
    assert plan.status.run is not None
    assert (plan.status.run.outcome, plan.status.run.reason) == (
        Outcome.ROLLED_BACK,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
    )
    assert (plan.status.rollout, plan.status.held, plan.actions) == (None, (NEWER,), ())


def test_the_message_says_that_the_deployment_stays_as_it_is() -> None:
    message = decide(stuck(), LATE).summary.message
    assert "news-77777777 was not available within 1200 s (crashing)" in message
    assert 'nothing served before, so Deployment "chat" still names it' in message


def test_a_held_first_candidate_is_not_adopted_as_live() -> None:
    plan = decide(given_up(), LATE)
    assert (plan.status.live, plan.actions) == (None, ())
    assert plan.summary.reason is Reason.ROLLED_BACK


def test_a_held_digest_whose_modelversion_is_gone_is_not_adopted_either() -> None:
    assert decide(dataclasses.replace(given_up(), versions=()), LATE).status.live is None


def test_after_a_held_first_candidate_a_token_opens_a_run() -> None:
    plan = decide(dataclasses.replace(given_up(), meta=a_meta(refresh_token="again")), LATE)
    assert plan.status.run is not None
    assert (plan.status.run.outcome, plan.status.last_handled_refresh) == (None, "again")


def test_after_a_held_first_candidate_a_stock_model_is_rolled_out() -> None:
    status = given_up().status.evolve(stock=a_ref())
    observed = a_sight(status=status, versions=(a_version(), a_version(NEWER)), target=stuck().target)
    assert [action.digest for action in decide(observed, LATE).actions if isinstance(action, Serve)] == [a_ref().digest]


def test_another_candidate_takes_the_place_of_a_held_first_one() -> None:
    observed = given_up()
    begun = observed.status.evolve(
        run=a_run(Stage.EVALUATE, id="r2", inputs=inputs_of(NO_STOCK)),
        candidate=a_ref(OTHER),
        rollout=Rollout(to=a_ref(OTHER), start_time=LATE),
    )
    versions = (a_version(NEWER), a_version(OTHER))
    rolling = dataclasses.replace(observed, status=begun, versions=versions)
    assert [action.digest for action in decide(rolling, LATE).actions if isinstance(action, Serve)] == [OTHER]
    settled = dataclasses.replace(rolling, target=a_deployment(digest=OTHER))
    assert decide(settled, LATE).status.live == a_ref(OTHER).evolve(since=LATE)


def test_a_held_first_candidate_that_a_person_goes_back_to_by_hand_is_live() -> None:
    begun = given_up().status.evolve(
        run=a_run(Stage.EVALUATE, id="r2", inputs=inputs_of(NO_STOCK)),
        candidate=a_ref(OTHER),
        rollout=Rollout(to=a_ref(OTHER), start_time=LATE, applied=True),
    )
    observed = stuck(status=begun, versions=(a_version(NEWER), a_version(OTHER)), target=a_deployment(digest=NEWER))
    undone = decide(observed, LATE).status
    assert undone.held == (OTHER,)
    live = decide(dataclasses.replace(observed, status=undone), LATE).status.live
    assert live is not None
    assert live.digest == NEWER
