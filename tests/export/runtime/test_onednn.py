"""Who decides whether TensorFlow computes with oneDNN, and that a proof holds with either of its kernels."""

import json
import os
import platform
import subprocess
import sys

import pytest

from export.runtime import onednn

X86 = platform.machine().lower() in ("x86_64", "amd64")
pytestmark = pytest.mark.skipif(not X86, reason="oneDNN is a matter of x86 processors")


def python(code, **environment):
    """Return stdout and stderr of a fresh process."""
    inherited = {k: v for k, v in os.environ.items() if k not in (onednn.VARIABLE, "TF_CPP_MIN_LOG_LEVEL")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("package", ["export", "zoo", "pipelines"])
@pytest.mark.parametrize(("given", "used"), [({}, "1"), ({onednn.VARIABLE: "0"}, "0")])
def test_it_is_on_unless_the_environment_says_otherwise(package, given, used):
    assert python(f"import {package}, os; print(os.environ['{onednn.VARIABLE}'])", **given) == (used, "")


def test_tensorflow_without_it_is_reported_once_in_one_line():
    code = f"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["{onednn.VARIABLE}"] = "0"
import keras, tensorflow
del os.environ["{onednn.VARIABLE}"]
import sys
said = sys.stderr = __import__("io").StringIO()
import export, zoo
export.runtime.onednn.choose()
print(said.getvalue(), end="")
print(export.runtime.onednn.is_on())
"""
    out, _ = python(code)
    first, second = out.splitlines()
    assert first.startswith("TensorFlow was imported without oneDNN, which halves its speed on this processor: set ")
    assert second == "False"


def test_nothing_that_tensorflow_logs_reaches_the_terminal():
    """Such as the profile of a PNG that it cannot read, and the missing driver of a GPU."""
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
    assert python(code, TF_CPP_MIN_LOG_LEVEL="") == ("(2, 2, 1) []", "")  # set, and to nothing


@pytest.mark.parametrize(
    ("bound", "allowed"),
    [("AVX2", {"AVX2", "AVX"}), ("AVX512_CORE", {"AVX-512", "AVX2", "AVX"}), ("SSE41", {platform.machine()})],
)
def test_the_instruction_set_is_that_of_the_machine_below_the_bound(monkeypatch, bound, allowed):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", bound)
    assert onednn.instruction_set() in allowed
    assert onednn.describe()["instruction_set"] in allowed


def test_a_bundle_holds_with_the_kernels_of_the_other_side(bundles):
    """Exported with oneDNN as it is here, proven again with it the other way round, as on another processor."""
    bundle = bundles("functional_cnn")
    row = next(row for row in bundle.certificate.artifacts if row.runtime == "c_api")
    assert row.endpoints["serving_default"]["noise"]["kernels"]["logits"] > 0  # other kernels did run
    done = subprocess.run(
        [sys.executable, "-m", "export", "verify", str(bundle.path), "--json"],
        env=os.environ | onednn.other_kernels(),
        capture_output=True,
        text=True,
    )
    certificate = json.loads(done.stdout)
    assert (certificate["verdict"], done.returncode) == ("pass", 0), done.stderr
    assert certificate["environment"]["onednn"] is not bundle.certificate.environment["onednn"]
