"""Clocks that tests turn by hand."""

import datetime as dt


class Clock:
    """Monotonic seconds that move only when told to."""

    def __init__(self, *, at: float = 1000.0) -> None:
        """Start at a figure that is not zero, as real clocks do."""
        self.at = at

    def __call__(self) -> float:
        """The seconds now."""
        return self.at

    def wall(self) -> dt.datetime:
        """The same as a time of day."""
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.at)

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.at += seconds
