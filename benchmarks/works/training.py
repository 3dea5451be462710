"""Training throughput of the fashion_mnist network."""

from benchmarks.work import Contender, Goal, Work
from zoo.speed import has_bfloat16

TORCH = ("torch>=2.9", "numpy")
NO_BFLOAT16 = "" if has_bfloat16() else "this processor has no bfloat16 arithmetic"


def _contenders(precision: str, missing: str) -> tuple[Contender, ...]:
    return (
        Contender(f"zoo, {precision}", "ours/fit.py", (precision, "none"), missing=missing),
        Contender(f"Keras fit, {precision}", "peers/keras_fit.py", (precision,), missing=missing),
        Contender(f"PyTorch channels_last, {precision}", "peers/pytorch_fit.py", (precision,), TORCH, missing=missing),
    )


WORK = Work(
    title="Training throughput, fashion_mnist, batch 128, no augmentation",
    unit="images/s",
    higher_is_better=True,
    contenders=(*_contenders("float32", ""), *_contenders("bfloat16", NO_BFLOAT16)),
    goals=(
        Goal("zoo, float32", "Keras fit, float32", 1.4),
        Goal("zoo, float32", "PyTorch channels_last, float32", 1.2),
        Goal("zoo, bfloat16", "Keras fit, bfloat16", 2.5),
        Goal("zoo, bfloat16", "PyTorch channels_last, bfloat16", 1.2),
    ),
    prepare="prepare_fashion_mnist.py",
)
