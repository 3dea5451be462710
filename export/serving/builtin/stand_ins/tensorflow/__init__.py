"""In place of TensorFlow for Python: the messages of its protocol buffers, which need none of its code, and no more."""

import os

__path__ = [os.environ["TENSORFLOW_C_API"]]  # the folder of the installed TensorFlow, whose libraries are loaded
