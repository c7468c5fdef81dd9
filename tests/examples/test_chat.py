"""The demo's client of the served model, against a chat server of the test's own."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from examples.demo import chat, troubles


class Server(http.server.BaseHTTPRequestHandler):
    """Answers the question itself; refuses the word `refuse`."""

    def do_POST(self) -> None:
        """One chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][0]["content"]
        self.send_response(500 if question == "refuse" else 200)
        self.end_headers()
        content = f" Answer: {question} at {body['temperature']}. "
        self.wfile.write(json.dumps({"choices": [{"message": {"content": content}}]}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_the_most_likely_answer_is_asked_for_and_trimmed(port: int) -> None:
    assert chat.answer(port, "who") == "Answer: who at 0."


def test_a_refusal_names_the_question_and_what_was_seen(port: int) -> None:
    with pytest.raises(troubles.DemoError, match="asked 'refuse', expected a chat completion, saw 500"):
        chat.answer(port, "refuse")


def test_a_server_that_is_gone_is_a_failure_with_a_look_at_its_log(port: int) -> None:
    free = http.server.HTTPServer(("127.0.0.1", 0), Server)
    free.server_close()
    with pytest.raises(troubles.DemoError) as caught:
        chat.answer(free.server_address[1], "who")
    assert any("logs" in look for look in caught.value.looks)
    assert chat.answer(port, "who")
