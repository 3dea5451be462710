"""Training time to a test accuracy, from the first step; one seed per round.

A candidate stops when it has reached all its targets; otherwise it trains all its epochs, and the table has its best
accuracy. Ours is the default recipe with smaller batches and fewer epochs, and for 92 % also with half the channels.
"""

from benchmarks.benchmark import Benchmark, Candidate, Goal
from benchmarks.timing.time_to_accuracy import SECONDS

FAST = ("recipe.batch_size=128", "recipe.learning_rate=0.005", "recipe.augment=flip")
HALF = "model.filters=[16,32,64,128]"
SHORT = (*FAST, HALF, "recipe.epochs=4", "recipe.label_smoothing=0", "recipe.weight_decay=0.1")
TO_92, TO_94 = "zoo, half the channels, 4 epochs", "zoo, 8 epochs"
KERAS, PYTORCH = "keras.io convnet, 15 epochs", "PyTorch basic example, 14 epochs"

BENCHMARK = Benchmark(
    title="Seconds of training to 92 % test accuracy on Fashion-MNIST, evaluated after every epoch (not timed)",
    unit="seconds",
    higher_is_better=False,
    candidates=(
        Candidate(TO_92, "ours/time_to_accuracy.py", ("0.92", *SHORT)),
        Candidate(TO_94, "ours/time_to_accuracy.py", ("0.92,0.94", *FAST, "recipe.epochs=8")),
        Candidate(KERAS, "peers/keras_time_to_accuracy.py", ("15",)),
        Candidate(PYTORCH, "peers/pytorch_time_to_accuracy.py", ("14",), ("torch>=2.9", "numpy")),
    ),
    goals=(
        *(Goal(TO_92, peer, 3) for peer in (KERAS, PYTORCH)),
        *(Goal(TO_94, peer, 3, of=SECONDS.format(0.94)) for peer in (KERAS, PYTORCH)),
    ),
    quick=False,
    prepare="prepare/fashion_mnist.py",
)
