"""How the demo gives up: what failed, and which looks at the cluster show why."""


class DemoError(Exception):
    """A step failed; `looks` are kubectl command lines (without `kubectl`) whose output tells more."""

    def __init__(self, message: str, *, looks: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.looks = looks
