"""What tests of the runtimes of devices need, which `make setup-all` installs."""

import pytest

from export.runners.environments import MEDIAPIPE, TFLITE_MICRO, VELA
from export.runners.run_litert_c import version

MISSING = [environment.command for environment in (MEDIAPIPE, TFLITE_MICRO, VELA) if not environment.installed]
MISSING += [] if version() else ["a C compiler"]
needs_devices = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
