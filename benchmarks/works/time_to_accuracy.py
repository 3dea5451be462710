"""How long a person waits for a test accuracy, from the first step; a seed a round.

Who has reached all its targets stops; who never does trains all its epochs, and the table says how far it came. Ours is
the default recipe with smaller batches and fewer epochs, as one who is in a hurry would ask for it, and to 92 % with
half the channels too.
"""

from benchmarks.benchmark import Contender, Goal, Work
from benchmarks.timing.time_to_accuracy import SECONDS

HURRIED = ("recipe.batch_size=128", "recipe.learning_rate=0.005", "recipe.augment=flip")
HALF = "model.filters=[16,32,64,128]"
SHORT = (*HURRIED, HALF, "recipe.epochs=4", "recipe.label_smoothing=0", "recipe.weight_decay=0.1")
TO_92, TO_94 = "zoo, half the channels, 4 epochs", "zoo, 8 epochs"
KERAS, PYTORCH = "keras.io convnet, 15 epochs", "PyTorch basic example, 14 epochs"

WORK = Work(
    title="Seconds of training to 92 % test accuracy on Fashion-MNIST, judged after every epoch outside the clock",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender(TO_92, "ours/time_to_accuracy.py", ("0.92", *SHORT)),
        Contender(TO_94, "ours/time_to_accuracy.py", ("0.92,0.94", *HURRIED, "recipe.epochs=8")),
        Contender(KERAS, "peers/keras_time_to_accuracy.py", ("15",)),
        Contender(PYTORCH, "peers/pytorch_time_to_accuracy.py", ("14",), ("torch>=2.9", "numpy")),
    ),
    goals=(
        *(Goal(TO_92, peer, 3) for peer in (KERAS, PYTORCH)),
        *(Goal(TO_94, peer, 3, of=SECONDS.format(0.94)) for peer in (KERAS, PYTORCH)),
    ),
    quick=False,
    prepare="prepare/fashion_mnist.py",
)
