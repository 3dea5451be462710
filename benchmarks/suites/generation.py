"""Text generation in each runtime, on one core."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

BENCHMARK = Benchmark(
    title="Text generation by single characters, models with shipped weights, CPU time of one core",
    unit="characters/s",
    higher_is_better=True,
    candidates=(
        Candidate("text_rnn in TFLite, step", "ours/generate.py", ("text_rnn", "tflite")),
        Candidate("text_rnn as a SavedModel, step", "ours/generate.py", ("text_rnn", "saved_model")),
        Candidate("text_transformer in TFLite, step", "ours/generate.py", ("text_transformer", "tflite")),
        Candidate("text_transformer as a SavedModel, step", "ours/generate.py", ("text_transformer", "saved_model")),
        Candidate("model.predict of one token and the state", "peers/keras_predict_loop.py", ("step",)),
        Candidate("model.predict of the last 128 tokens", "peers/keras_predict_loop.py", ("window",)),
    ),
    goals=(Goal("text_rnn in TFLite, step", "model.predict of one token and the state", 5),),
    prepare="prepare/generation.py",
)
