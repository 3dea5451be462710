"""What `zoo`, `export` and `pipelines` stand on: the command line, errors, files, imports.

Exit codes of the command line: 0 success, 1 a check failed, 2 wrong usage, 3 a requirement is not available.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # the folder of the four packages

# `python -m` would import a numpy.py of the current folder: that folder goes, unless we ourselves are imported from it
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and os.path.realpath(sys.path[0] or ".") == os.getcwd() != ROOT:
    del sys.path[0]

from zoobase.console import Console, common_options, describe_cause, finite, run  # noqa: E402
from zoobase.errors import suggestion  # noqa: E402

__all__ = ["Console", "check_packages", "common_options", "describe_cause", "finite", "run", "suggestion"]


def check_packages(*names: str) -> None:
    """Check that packages of this project are not hidden by modules of the same name, such as a user's export.py.

    Raises:
        ImportError: One is; the message names the file.

    Example:
        >>> check_packages("export", "pipelines")
    """
    import importlib.util

    for name in names:
        spec = importlib.util.find_spec(name)
        places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
        if places and os.path.dirname(os.path.realpath(places[0])) != ROOT:
            raise ImportError(
                f"{spec.origin or places[0]} hides the package {name!r} of keras-proof-zoo: rename it, or take its "
                "folder off sys.path"
            )
