"""Process-wide settings of `zoo.core.environment`."""

import os
import platform
import subprocess
import sys

import pytest

from tests import commands

_ARENAS = """
import ctypes, os, sys, threading
from zoo.core import environment
environment.prepare()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, ctypes.c_void_p, [ctypes.c_char_p] * 2
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
count = 4 * os.cpu_count()
met = threading.Barrier(count + 1)
threads = [threading.Thread(target=lambda: (libc.malloc(1000), met.wait(), met.wait())) for _ in range(count)]
[thread.start() for thread in threads]
met.wait()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
met.wait()
"""


@pytest.mark.extended
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are of glibc's malloc")
@pytest.mark.parametrize("theirs", ["", pytest.param("1", marks=pytest.mark.proof)])
def test_threads_share_the_arenas_of_malloc(theirs, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
    environment |= {"MALLOC_ARENA_MAX": theirs} if theirs else {}
    subprocess.run([sys.executable, "-c", _ARENAS, tmp_path / "info.xml"], check=True, env=environment, timeout=300)
    arenas = (tmp_path / "info.xml").read_text().count("<heap nr=")
    assert arenas <= (int(theirs) if theirs else max(2, os.cpu_count()))


_WARNINGS = """
import keras, numpy as np, tensorflow as tf
from zoo.core import environment
environment.prepare()
traced = tf.function(lambda x: tf.constant(x) + 1)
for i in range(9):
    traced(i)  # a Python number is a trace of its own
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile(loss="mse")
data = tf.data.Dataset.from_tensors((np.zeros((4, 2)), np.zeros((4, 1))))
model.fit(data, shuffle=True, verbose=0)
tf.get_logger().warning("another warning")
"""


@pytest.mark.extended
@pytest.mark.parametrize("debug", ["", pytest.param("1", marks=pytest.mark.proof)])
def test_warnings_that_a_user_cannot_act_on_are_not_shown(debug):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"} | {"ZOO_DEBUG": debug}
    shown = commands.run("-c", _WARNINGS, fresh=True, env=environment).stderr
    assert "another warning" in shown
    assert ("retracing" in shown) is bool(debug)
    assert "shuffle" not in shown
