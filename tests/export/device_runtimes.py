"""What tests of the runtimes of devices need."""

import pytest

from export.runners.environments import MEDIAPIPE, TFLITE_MICRO, VELA

needs_devices = pytest.mark.needs(MEDIAPIPE.name, TFLITE_MICRO.name, VELA.name, "gcc")
