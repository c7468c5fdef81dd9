"""The lines of a stage's log: one for each record, of which everything can be seen."""

import logging
from typing import Any

from modelrefresh.contract import printable


class Formatter(logging.Formatter):
    """Log lines whose message is one line; only a traceback of our own faults has several."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """One line."""
        return printable.line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401 -- logging's own name and type
        """Several lines, each of which can be seen."""
        return printable.lines(super().formatException(ei))
