"""What the demo reads from the operator's metrics."""

from examples.demo import measures
from modelrefresh import metrics

HEAD = "# TYPE modelrefresh_api_request_duration_seconds histogram"


def exposed(**counts: int) -> str:
    """An exposition with so many requests by `verb_Kind`."""
    pairs = ((key.rpartition("_"), count) for key, count in counts.items())
    lines = [
        f'modelrefresh_api_request_duration_seconds_count{{verb="{verb}",kind="{kind}",code="200"}} {count}.0'
        for (verb, _, kind), count in pairs
    ]
    return "\n".join([HEAD, *lines, ""])


def test_writes_are_counted_without_reads_and_upkeep() -> None:
    seen = exposed(get_Job=9, list_Pod=9, create_Job=2, put_status_ModelRefresh=3, create_Event=4, patch_Lease=50)
    assert measures.writes(seen) == measures.Writes(objects=5, events=4)


def test_only_what_came_after_the_first_look_counts() -> None:
    before, after = (measures.writes(exposed(create_Job=jobs)) for jobs in (2, 5))
    assert after.since(before) == measures.Writes(objects=3)


def test_the_counter_is_one_that_the_operator_has() -> None:
    [family] = metrics.API_SECONDS.describe()
    assert exposed(create_Job=1).splitlines()[0] == f"# TYPE {family.name} histogram"
