"""The command line of `zoo`, `export` and `pipelines`: --json, --quiet, --debug, errors, exit codes.

Exit codes: 0 success, 1 a check failed, 2 wrong usage, 3 a requirement is not available. The message of an exception
with an attribute `exit_code` is one sentence for the user; `run` prints it and exits with that code.
"""

from zoobase.console import Console, common_options, describe_cause, finite, run
from zoobase.names import suggestion

__all__ = ["Console", "common_options", "describe_cause", "finite", "run", "suggestion"]
