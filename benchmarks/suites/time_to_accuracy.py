"""Training time to a test accuracy, from the first step; one seed per round, the alternatives one in all.

A candidate stops when it has reached all its targets; otherwise it trains all its epochs, and the table has its best
accuracy. Ours is the default recipe with half the channels, smaller batches and fewer epochs, which were chosen on the
validation split with other seeds. Gradient boosting is measured after its last iteration. The alternatives are
tutorials with networks and recipes of their own: `training` has the same network in Keras and PyTorch.
"""

from benchmarks.benchmark import TORCH, Benchmark, Candidate, Goal
from benchmarks.timing.time_to_accuracy import SECONDS

FAST = ("recipe.batch_size=128", "recipe.learning_rate=0.005", "recipe.augment=flip", "recipe.whiten=true")
HALF = "model.filters=[16,32,64,128]"
SHORT = (*FAST, HALF, "recipe.epochs=3", "recipe.label_smoothing=0", "recipe.weight_decay=0.1")
LONG = (*FAST, "model.filters=[16,32,64,192]", "recipe.epochs=12")
TO_92, TO_94 = "zoo, half the channels, 3 epochs", "zoo, half the channels and 192 in the last block, 12 epochs"
BOOSTING = "scikit-learn gradient boosting on pixels"
KERAS, PYTORCH = "keras.io tutorial, 15 epochs", "PyTorch tutorial, 14 epochs"

BENCHMARK = Benchmark(
    title="Seconds of training to 92 % test accuracy on Fashion-MNIST, evaluated after every epoch (not timed)",
    unit="seconds",
    higher_is_better=False,
    candidates=(
        Candidate(TO_92, "ours/time_to_accuracy.py", ("0.92", *SHORT)),
        Candidate(TO_94, "ours/time_to_accuracy.py", ("0.92,0.94", *LONG)),
        Candidate(KERAS, "peers/keras_time_to_accuracy.py", ("15",), rounds=1),
        Candidate(BOOSTING, "peers/boosting_time_to_accuracy.py", ("100",), rounds=1),
        Candidate(PYTORCH, "peers/pytorch_time_to_accuracy.py", ("14",), TORCH, rounds=1),
    ),
    goals=(
        *(Goal(TO_92, peer, 3) for peer in (KERAS, PYTORCH, BOOSTING)),
        *(Goal(TO_94, peer, 3, of=SECONDS.format(0.94)) for peer in (KERAS, PYTORCH)),
    ),
    rounds=5,
    quick=False,
    prepare="prepare/fashion_mnist.py",
)
