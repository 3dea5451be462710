"""How long a person waits for a test accuracy, from the first step; a seed a round.

Who has reached all its targets stops; who never does trains all its epochs, and the table says how far it came.
"""

from benchmarks.race import SECONDS
from benchmarks.work import Contender, Goal, Work

SHORT, DEFAULT = "zoo, default recipe in 4 epochs", "zoo, default recipe"
KERAS, PYTORCH = "keras.io convnet, 15 epochs", "PyTorch basic example, 14 epochs"
TO_94 = SECONDS.format(0.94)

WORK = Work(
    title="Seconds of training to 92 % test accuracy on Fashion-MNIST, judged after every epoch outside the clock",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender(SHORT, "ours/time_to_accuracy.py", ("4", "0.92")),
        Contender(DEFAULT, "ours/time_to_accuracy.py", ("12", "0.92", "0.94")),
        Contender(KERAS, "peers/keras_time_to_accuracy.py", ("15",)),
        Contender(PYTORCH, "peers/pytorch_time_to_accuracy.py", ("14",), ("torch>=2.9", "numpy")),
    ),
    goals=(
        *(Goal(SHORT, peer, 3) for peer in (KERAS, PYTORCH)),
        *(Goal(DEFAULT, peer, 3, of=TO_94) for peer in (KERAS, PYTORCH)),
    ),
    quick=False,
    prepare="prepare_fashion_mnist.py",
)
