"""Inference of the trained style transfer network.

On one core of an AMD EPYC the CPU time of the TFLite file fell from 2.15 s to 1.18 s when padding was implemented by
slices (MIRROR_PAD took ten times as long) and instance normalisation in four dimensions (XNNPACK has no mean over
five). The rest is convolutions; the last one, with three filters, uses little of XNNPACK's tile of 16.
"""

from benchmarks.benchmark import Benchmark, Candidate, Goal

BENCHMARK = Benchmark(
    title="Stylising a photograph of 512x512, style_transfer of the default size",
    unit="seconds",
    higher_is_better=False,
    candidates=(Candidate("TFLite", "ours/stylise.py"), Candidate("model.predict", "peers/keras_predict_image.py")),
    goals=(Goal("TFLite", "model.predict", 1),),
    prepare="prepare/stylisation.py",
    quick=False,
)
