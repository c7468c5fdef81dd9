"""kubectl against the demo's cluster: run it, read objects, keep one running beside the demo."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo import troubles

Document = dict[str, Any]
NAMESPACE = "modelrefresh-demo"
OPERATOR_NAMESPACE = "modelrefresh-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """A kubectl program and the kubeconfig it is used with."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it to its end and return what it printed.

        Raises:
            DemoError: it refused; the message holds its complaint.
        """
        done = subprocess.run(  # noqa: S603 -- our own command line, no shell
            self._command(*arguments), input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise troubles.DemoError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, *, namespace: str = NAMESPACE) -> Document:
        """One object; empty if there is none."""
        text = self.run("get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=json")
        found: Document = json.loads(text) if text.strip() else {}
        return found

    def items(self, kind: str, *, namespace: str = NAMESPACE, selector: str = "") -> list[Document]:
        """All objects of a kind in a namespace."""
        text = self.run("get", kind, f"--namespace={namespace}", f"--selector={selector}", "--output=json")
        found: list[Document] = json.loads(text)["items"]
        return found

    @contextlib.contextmanager
    def beside(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Keep one running while the block does, for its output or its tunnel."""
        process = subprocess.Popen(  # noqa: S603 -- our own command line, no shell
            self._command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with process:
            try:
                yield process
            finally:
                process.terminate()

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments]
