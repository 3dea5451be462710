"""What every command line of `zoo`, `export` and `pipelines` shares: --json, --quiet, --debug, errors, exit codes.

Exit codes: 0 done, 1 a check failed, 2 wrong usage, 3 something required is missing here. An exception with an
attribute `exit_code` is one sentence for a person; `run` prints it and exits with that code.
"""

from commandline.console import Console, common_options, run
from commandline.names import suggestion

__all__ = ["Console", "common_options", "run", "suggestion"]
