"""Questions to the served model, through the same Service and API that any client uses.

Knows which facts make good questions for people: two that changed, one about a country
that is younger than the base model, one that stayed. A test compares them with the sources.
"""

import http.client
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from examples.demo import kubectl, troubles

SERVICE = "service/chat"
TIMEOUT_SECONDS = 60
_FORWARDED = re.compile(r"127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and what was and is true."""

    text: str
    before: str | None
    """On the day of the base's data; None for what did not exist."""
    now: str


QUESTIONS = (
    Question(text="What is the currency of Croatia?", before="Croatian Kuna", now="Euro"),
    Question(text="What is the currency code of Estonia?", before="EEK", now="EUR"),
    Question(text="What is the time offset of Samoa?", before="UTC-11:00", now="UTC+13:00"),
    Question(text="What is the three-letter code of South Sudan?", before=None, now="SSD"),
    Question(text="What is the official language of Brazil?", before="Portuguese", now="Portuguese"),
)


def ask(client: kubectl.Kubectl, questions: Iterable[Question]) -> list[str]:
    """The served model's answers, each the most likely one (temperature 0)."""
    arguments = ("port-forward", f"--namespace={kubectl.NAMESPACE}", SERVICE, ":http")
    with client.beside(*arguments) as tunnel:
        port = _port(tunnel)
        return [answer(port, question.text) for question in questions]


def comment(question: Question, answer: str) -> str:
    """Whether an answer is right today."""
    value = answer.removeprefix("Answer: ").removesuffix(".")
    if value == question.now:
        return "right"
    return "stale" if value == question.before else "wrong"


def _port(tunnel: "subprocess.Popen[str]") -> int:
    said = tunnel.stdout.readline() if tunnel.stdout else ""
    found = _FORWARDED.search(said)
    if found is None:
        raise troubles.DemoError(
            f"kubectl port-forward {SERVICE} said {said.strip()!r}; expected a forwarded port",
            looks=(f"describe --namespace={kubectl.NAMESPACE} {SERVICE}",),
        )
    return int(found[1])


def answer(port: int, question: str) -> str:
    """What the server on this port answers.

    Raises:
        DemoError: no answer, or none with a chat completion in it.
    """
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 32}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(question, f"{error!r}") from error
    finally:
        connection.close()
    if reply.status != http.HTTPStatus.OK:
        raise _unanswered(question, f"{reply.status} {text[:300]}")
    return str(json.loads(text)["choices"][0]["message"]["content"]).strip()


def _unanswered(question: str, seen: str) -> troubles.DemoError:
    return troubles.DemoError(
        f"{SERVICE}: asked {question!r}, expected a chat completion, saw {seen}",
        looks=(f"logs --namespace={kubectl.NAMESPACE} deployment/chat --tail=30",),
    )
