"""The garbage collector is paused while TensorFlow is imported, and at no other time."""

import gc

import pytest

from tests import commands
from zoobase.importing import without_garbage_collection

PROBE = """
import gc, sys
on = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "tensorflow.python.data"):
            on.append(gc.isenabled())
sys.meta_path.insert(0, Finder())
IMPORT
print(on, gc.isenabled())
"""


@pytest.mark.parametrize(
    "code",
    [
        "from zoo.core import environment; environment.prepare()",
        "from export.runtime.backend import load_tensorflow; load_tensorflow()",
    ],
)
def test_tensorflow_is_imported_without_it(code):
    assert commands.run("-c", PROBE.replace("IMPORT", code), fresh=True).stdout == "[False, False] True\n"


def test_it_is_as_it_was_afterwards():
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), without_garbage_collection():
        raise ZeroDivisionError
    assert gc.isenabled()
    gc.disable()
    try:
        with without_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
