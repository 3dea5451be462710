"""What painting a photograph costs once the network is trained.

On one core of an AMD EPYC the TFLite file took 2.15 s of CPU time before, and 1.18 s since padding is made of slices
(MIRROR_PAD took ten times as long) and instance normalisation has four dimensions (a mean over five is not XNNPACK's).
What is left is convolutions; the last, with three filters, wastes most of XNNPACK's tile of 16.
"""

from benchmarks.benchmark import Contender, Goal, Work

WORK = Work(
    title="Stylising a photograph of 512x512, style_transfer of the default size",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender("TFLite", "ours/stylise.py"),
        Contender("model.predict", "peers/keras_predict_image.py"),
    ),
    goals=(Goal("TFLite", "model.predict", 1),),
    prepare="prepare/stylisation.py",
    quick=False,
)
