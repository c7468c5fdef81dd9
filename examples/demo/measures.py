"""A few of the operator's own metrics, read from the replica that leads."""

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
