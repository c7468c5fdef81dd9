"""What kstatus makes of an object: the library by which Flux, kpt and `helm --wait` tell whether it is done.

Written down from pkg/kstatus/status of sigs.k8s.io/cli-utils v0.37.2 (generic.go, status.go), as far as it
concerns kinds that it does not know by name.
"""

from typing import Any


def status(document: dict[str, Any]) -> str:
    """Current, InProgress, Failed or Terminating."""
    metadata, told = document["metadata"], document.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if told.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "InProgress"
    conditions = told.get("conditions") or ()
    for condition in conditions:
        if (condition["type"], condition["status"]) == ("Reconciling", "True"):
            return "InProgress"
        if (condition["type"], condition["status"]) == ("Stalled", "True"):
            return "Failed"
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    return "Current" if ready is None or ready["status"] == "True" else "InProgress"
