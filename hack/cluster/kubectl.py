"""kubectl against one cluster, with its complaints turned into ours."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """A kubectl program and the kubeconfig it is used with."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return its output."""
        command: list[str | Path] = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True)
        if done.returncode:
            raise failures.ClusterError(f"kubectl {' '.join(arguments)}: ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply `objects` as they are."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=document)

    def answers(self) -> bool:
        """Say whether the cluster calls itself ready."""
        try:
            return self.run("get", "--raw", "/readyz") == "ok"
        except failures.ClusterError:
            return False

    def version(self) -> str:
        """Return the version of the API server."""
        return str(json.loads(self.run("version", "--output=json"))["serverVersion"]["gitVersion"])
