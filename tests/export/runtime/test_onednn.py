"""Whether TensorFlow uses oneDNN, and that a proof passes with either set of kernels."""

import json
import os
import platform
import subprocess
import sys

import pytest

from export.runtime import onednn

X86 = platform.machine().lower() in ("x86_64", "amd64")
pytestmark = pytest.mark.skipif(not X86, reason="oneDNN is for x86 processors")


def python(code, **environment):
    inherited = {k: v for k, v in os.environ.items() if k not in (onednn.VARIABLE, "TF_CPP_MIN_LOG_LEVEL")}
    process = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=True
    )
    return process.stdout.strip(), process.stderr.strip()


@pytest.mark.parametrize("package", ["export", "zoo", "pipelines"])
@pytest.mark.parametrize(("environment", "value"), [({}, "1"), ({onednn.VARIABLE: "0"}, "0")])
def test_it_is_enabled_unless_the_environment_disables_it(package, environment, value):
    assert python(f"import {package}, os; print(os.environ['{onednn.VARIABLE}'])", **environment) == (value, "")


@pytest.mark.extended
def test_tensorflow_without_it_is_reported_once_in_one_line():
    code = f"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["{onednn.VARIABLE}"] = "0"
import keras, tensorflow
del os.environ["{onednn.VARIABLE}"]
import sys
stderr = sys.stderr = __import__("io").StringIO()
import export, zoo
export.runtime.onednn.choose()
print(stderr.getvalue(), end="")
print(export.runtime.onednn.is_on())
"""
    out, _ = python(code)
    first, second = out.splitlines()
    assert first.startswith("TensorFlow was imported without oneDNN, which halves its speed on this processor: set ")
    assert second == "False"


@pytest.mark.extended
def test_nothing_that_tensorflow_logs_reaches_the_terminal():
    """Such as warnings about the colour profile of a PNG, and about the missing driver of a GPU."""
    code = r"""
import zlib, struct, zoo
from zoo.core import environment
environment.prepare()
import tensorflow as tf
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)) + chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"?"))
pixels = chunk(b"IDAT", zlib.compress(b"\0ab\0cd")) + chunk(b"IEND", b"")
print(tf.io.decode_png(b"\x89PNG\r\n\x1a\n" + header + pixels).shape, tf.config.list_physical_devices("GPU"))
"""
    assert python(code) == ("(2, 2, 1) []", "")
    assert python(code, TF_CPP_MIN_LOG_LEVEL="") == ("(2, 2, 1) []", "")  # set to the empty string


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [("AVX2", {"AVX2", "AVX"}), ("AVX512_CORE", {"AVX-512", "AVX2", "AVX"}), ("SSE41", {platform.machine()})],
)
def test_the_instruction_set_is_that_of_the_machine_below_the_limit(monkeypatch, limit, allowed):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert onednn.instruction_set() in allowed
    assert onednn.describe()["instruction_set"] in allowed


@pytest.mark.proof
def test_a_bundle_passes_with_the_other_kernels(bundles):
    bundle = bundles("functional_cnn")
    process = subprocess.run(
        [sys.executable, "-m", "export", "verify", str(bundle.path), "--json"],
        env=os.environ | onednn.other_kernels(),
        capture_output=True,
        text=True,
    )
    certificate = json.loads(process.stdout)
    assert (certificate["verdict"], process.returncode) == ("pass", 0), process.stderr
    assert certificate["environment"]["onednn"] is not bundle.certificate.environment["onednn"]
