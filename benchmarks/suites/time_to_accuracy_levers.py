"""What each choice of `time_to_accuracy` contributes: the fast training to 92 %, and the same without one of them."""

from benchmarks.benchmark import Benchmark, Candidate, Goal
from benchmarks.suites.time_to_accuracy import SHORT

ALL = "all of them"
WITHOUT = {
    "without whitening": ("recipe.whiten=false",),
    "AdamW instead of Muon": ("recipe.optimizer=adamw", "recipe.learning_rate=0.003"),
    "batches of 512 instead of 128": ("recipe.batch_size=512", "recipe.learning_rate=0.012"),
    "all channels instead of half": ("model.filters=[32,64,128,256]",),
    "a constant learning rate instead of a cosine": ("recipe.schedule=constant",),
    "shifts of 2 pixels, too": ("recipe.augment=flip,shift",),
    "label smoothing of 0.1": ("recipe.label_smoothing=0.1",),
}

BENCHMARK = Benchmark(
    title="Seconds of training to 92 % test accuracy on Fashion-MNIST, with all choices and without one",
    unit="seconds",
    higher_is_better=False,
    candidates=(
        Candidate(ALL, "ours/time_to_accuracy.py", ("0.92", *SHORT)),
        *(Candidate(name, "ours/time_to_accuracy.py", ("0.92", *SHORT, *changes)) for name, changes in WITHOUT.items()),
    ),
    goals=tuple(Goal(ALL, name, 0) for name in WITHOUT),
    quick=False,
    prepare="prepare/fashion_mnist.py",
)
