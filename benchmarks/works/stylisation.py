"""What painting a photograph costs once the network is trained."""

from benchmarks.work import Contender, Goal, Work

WORK = Work(
    title="Stylising a photograph of 512x512, style_transfer of the default size",
    unit="seconds",
    higher_is_better=False,
    contenders=(
        Contender("TFLite", "ours/stylise.py"),
        Contender("model.predict", "peers/keras_predict_image.py"),
    ),
    goals=(Goal("TFLite", "model.predict", 1),),
    prepare="prepare_stylisation.py",
    quick=False,
)
