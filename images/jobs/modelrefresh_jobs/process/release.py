"""Which release of this software works here."""

import importlib.metadata


def version() -> str:
    """The installed version, or that there is none."""
    try:
        return importlib.metadata.version("modelrefresh")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout"
