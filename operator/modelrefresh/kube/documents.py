"""What every object of the API has, read out of its document: owners, conditions, times."""

import datetime

from modelrefresh.kube.port import Document


def belongs_to(document: Document, uid: str) -> bool:
    """Whether the object names the one with this uid among its owners."""
    return any(owner.get("uid") == uid for owner in document["metadata"].get("ownerReferences") or ())


def controller(document: Document) -> Document:
    """The owner that controls the object; empty without one."""
    owners = document["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def condition(document: Document, kind: str, *, wanted: str | None = "True") -> Document | None:
    """The object's condition of this type, if it has this status; with None whatever its status."""
    found = (document.get("status") or {}).get("conditions") or ()
    return next((item for item in found if item.get("type") == kind and wanted in (None, item.get("status"))), None)


def created(document: Document) -> datetime.datetime:
    """When the object was created."""
    return datetime.datetime.fromisoformat(document["metadata"]["creationTimestamp"])


def time_of(text: str | None) -> datetime.datetime | None:
    """A time of the API, or None."""
    return datetime.datetime.fromisoformat(text) if text else None
