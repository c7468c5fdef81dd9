"""What the operator's process is told by its environment, read once at the start.

Knows every variable, its default and its bounds; all faults are reported together. Nothing
that a user decides per refresh is here: that is the objects' spec and the RefreshProfile.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from modelrefresh.manifests.network import Network

T = TypeVar("T")
N = TypeVar("N", bound=float)

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(ValueError):
    """The environment cannot be used; the message has one line for each fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one operator process."""

    namespaces: tuple[str, ...]
    """Namespaces that are served; empty for the whole cluster."""
    own_namespace: str
    """Where the Lease lies."""
    pod: str
    """Name of this replica, for the Lease and the logs."""
    lease: str
    workers: int
    network: Network | None
    """What NetworkPolicies of stages say; None for none."""
    resync_seconds: float
    writes_per_second: float
    write_burst: int
    requests_in_flight: int
    request_seconds: float
    pass_seconds: float
    """One pass over one object is given up after this long and tried again."""
    health_port: int
    log_level: int

    @property
    def share(self) -> int:
        """Workers that one namespace may have: a quarter waits for others."""
        return max(1, self.workers - max(1, self.workers // 4))


def parse(environment: Mapping[str, str]) -> Settings:
    """The settings behind an environment.

    Raises:
        SettingsError: with every variable that cannot be used, what it holds and what is accepted.
    """
    reader = _Reader(environment)
    settings = Settings(
        namespaces=reader.read("MODELREFRESH_NAMESPACES", default="", convert=_names),
        own_namespace=reader.read("POD_NAMESPACE", default="modelrefresh", convert=_name),
        pod=reader.read("POD_NAME", default="local", convert=_name),
        lease=reader.read("MODELREFRESH_LEASE", default="modelrefresh", convert=_name),
        workers=reader.read("MODELREFRESH_WORKERS", default="8", convert=_between(int, 1, 64)),
        network=reader.read("MODELREFRESH_STAGE_NETWORK", default="", convert=_network),
        resync_seconds=reader.read("MODELREFRESH_RESYNC_SECONDS", default="600", convert=_between(float, 1, 86_400)),
        writes_per_second=reader.read("MODELREFRESH_WRITES_PER_SECOND", default="50", convert=_between(float, 1, 1000)),
        write_burst=reader.read("MODELREFRESH_WRITE_BURST", default="100", convert=_between(int, 1, 10_000)),
        requests_in_flight=reader.read("MODELREFRESH_REQUESTS_IN_FLIGHT", default="16", convert=_between(int, 1, 256)),
        request_seconds=reader.read("MODELREFRESH_REQUEST_SECONDS", default="10", convert=_between(float, 1, 60)),
        pass_seconds=reader.read("MODELREFRESH_PASS_SECONDS", default="120", convert=_between(float, 1, 3600)),
        health_port=reader.read("MODELREFRESH_HEALTH_PORT", default="8080", convert=_between(int, 0, 65_535)),
        log_level=reader.read("MODELREFRESH_LOG_LEVEL", default="INFO", convert=_level),
    )
    if reader.faults:
        raise SettingsError("\n".join(reader.faults))
    return settings


class _Reader:
    """Reads variables one by one and keeps what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def read(self, name: str, *, default: str, convert: Callable[[str], T]) -> T:
        text = self._environment.get(name, default)
        try:
            return convert(text)
        except ValueError as error:
            self.faults.append(f"environment variable {name}: saw {text!r}, accepted: {error}")
            return convert(default)


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError("a name of lower case letters, digits, '-' and '.'")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not all(_NAME.match(name) for name in names):
        raise ValueError("namespaces separated by commas, or nothing for the whole cluster")
    return names


def _network(text: str) -> Network | None:
    """A JSON object of `progressFrom`, peers, and `egress`, rules, both as in a NetworkPolicy; nothing for none."""
    message = '{"progressFrom": [PEER, ...], "egress": [RULE, ...]} as in a NetworkPolicy, or nothing'
    if not text:
        return None
    try:
        document = json.loads(text)
        peers, rules = document["progressFrom"], document.get("egress") or []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(message) from error
    # A list without a peer would let everybody in.
    lists = isinstance(peers, list) and isinstance(rules, list) and bool(peers)
    if not (lists and all(isinstance(one, dict) for one in [*peers, *rules])):
        raise ValueError(message)
    return Network(progress_from=tuple(peers), egress=tuple(rules))


def _between(convert: Callable[[str], N], low: int, high: int) -> Callable[[str], N]:
    def checked(text: str) -> N:
        message = f"a number from {low} to {high}"
        try:
            value = convert(text)
        except ValueError as error:
            raise ValueError(message) from error
        if not low <= value <= high:
            raise ValueError(message)
        return value

    return checked


def _level(text: str) -> int:
    if text.upper() not in _LEVELS:
        raise ValueError(f"one of {', '.join(_LEVELS)}")
    return logging.getLevelNamesMapping()[text.upper()]
