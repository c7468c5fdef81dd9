"""A few of the operator's own metrics, read from the replica that leads."""

from dataclasses import dataclass

from prometheus_client import parser

from examples.demo import kubectl

PORT = 8080
LEADER = "modelrefresh_leader 1.0"
SHOWN = (
    "modelrefresh_runs_total",
    "modelrefresh_stage_attempts_total",
    "modelrefresh_trained_tokens_total",
    "modelrefresh_live_version_info",
    "modelrefresh_evaluation_difference",
)
SELECTOR = "app.kubernetes.io/name=modelrefresh"


_REQUESTS = "modelrefresh_api_request_duration_seconds_count"
_READS = ("get", "list")
_UPKEEP = ("Lease", "SelfSubjectAccessReview")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """How often the operator has written to the API server."""

    objects: int = 0
    events: int = 0

    def since(self, before: "Writes") -> "Writes":
        """What came after an earlier look."""
        return Writes(objects=self.objects - before.objects, events=self.events - before.events)


def read(client: kubectl.Kubectl) -> str:
    """The leader's whole exposition; empty while nobody leads."""
    for pod in client.items("pods", namespace=kubectl.OPERATOR_NAMESPACE, selector=SELECTOR):
        name = pod["metadata"]["name"]
        text = client.run(
            "get", "--raw", f"/api/v1/namespaces/{kubectl.OPERATOR_NAMESPACE}/pods/{name}:{PORT}/proxy/metrics"
        )
        if LEADER in text.splitlines():
            return text
    return ""


def few(exposition: str, *, name: str) -> str:
    """The series worth a look, of one ModelRefresh."""
    return "\n".join(line for line in exposition.splitlines() if line.startswith(SHOWN) and f'name="{name}"' in line)


def writes(exposition: str) -> Writes:
    """Every write so far but those that keep the Lease and ask for rights."""
    samples = (sample for family in parser.text_string_to_metric_families(exposition) for sample in family.samples)
    counts = [
        (sample.labels["kind"], int(sample.value))
        for sample in samples
        if sample.name == _REQUESTS and sample.labels["verb"] not in _READS and sample.labels["kind"] not in _UPKEEP
    ]
    events = sum(count for kind, count in counts if kind == "Event")
    return Writes(objects=sum(count for _, count in counts) - events, events=events)
