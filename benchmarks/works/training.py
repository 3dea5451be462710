"""Training throughput of the fashion_mnist network; `training_resnet` has another.

The bound is what the machine's large matrix multiplications would give; the README says how near to it we come. On 2
cores of an AMD EPYC, which has no AMX, bfloat16 multiplies only 1.9 times as fast as float32.
"""

from benchmarks.benchmark import Contender, Goal, Work
from export.runtime import onednn
from zoo.training.autotune import has_bfloat16

TORCH = ("torch>=2.9", "numpy")
NO_BFLOAT16 = "" if has_bfloat16() else "this processor has no bfloat16 arithmetic"
OURS, KERAS, PYTORCH = "zoo, {}", "Keras fit, {}", "PyTorch channels_last, {}"
OURS_OFF, KERAS_ON = "zoo without oneDNN, {}", "Keras fit with oneDNN, {}"
ON, OFF = ({onednn.VARIABLE: value} for value in "10")
IS_DEFAULT = "TensorFlow turns oneDNN on by itself on this processor" if onednn.is_default() else ""
BOUND = "matrix multiplications alone, {}"


def _contenders(network: str, precision: str, missing: str) -> tuple[Contender, ...]:
    words = (network, precision)
    return (
        Contender(OURS.format(precision), "ours/fit.py", (*words, "none"), missing=missing),
        Contender(OURS_OFF.format(precision), "ours/fit.py", (*words, "none"), (), missing, OFF),
        Contender(KERAS.format(precision), "peers/keras_fit.py", words, missing=missing),
        Contender(KERAS_ON.format(precision), "peers/keras_fit.py", words, (), missing or IS_DEFAULT, ON),
        Contender(PYTORCH.format(precision), "peers/pytorch_fit.py", words, TORCH, missing=missing),
        Contender(BOUND.format(precision), "peers/matmul.py", words, missing=missing),
    )


def _goals(precision: str, of_keras: float) -> tuple[Goal, ...]:
    against = {KERAS: of_keras, PYTORCH: 1.2, BOUND: 0}
    return tuple(Goal(OURS.format(precision), peer.format(precision), ratio) for peer, ratio in against.items())


def work(network: str, quick: bool) -> Work:
    """Return the work of training a network of benchmarks/timing/networks.py."""
    return Work(
        title=f"Training throughput, {network}, batch 128, no augmentation",
        unit="images/s",
        higher_is_better=True,
        contenders=(*_contenders(network, "float32", ""), *_contenders(network, "bfloat16", NO_BFLOAT16)),
        goals=(*_goals("float32", 1.4), *_goals("bfloat16", 2.5)),
        prepare="prepare/fashion_mnist.py",
        quick=quick,
    )


WORK = work("fashion_mnist", quick=True)
