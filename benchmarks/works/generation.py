"""What a character costs in each runtime, on one core."""

from benchmarks.benchmark import Contender, Goal, Work

WORK = Work(
    title="Writing text one character at a time, text_rnn of the default size, one core",
    unit="characters/s",
    higher_is_better=True,
    contenders=(
        Contender("TFLite, step", "ours/generate.py", ("tflite",)),
        Contender("SavedModel, step", "ours/generate.py", ("saved_model",)),
        Contender("model.predict of one token and the state", "peers/keras_predict_loop.py", ("step",)),
        Contender("model.predict of the last 128 tokens", "peers/keras_predict_loop.py", ("window",)),
    ),
    goals=(Goal("TFLite, step", "model.predict of one token and the state", 5),),
    prepare="prepare/generation.py",
)
