"""Inference in each runtime of a bundle.

In float32 at batch 1 LiteRT and onnxruntime are close: on both cores of an AMD EPYC 0.44 ms against 0.43, on one 0.87
against 0.78 (each the best of 500). On one core, the individual convolutions (98 % of the time) run at 105 to 108
GFLOP/s in XNNPACK and at 111 to 119 in onnxruntime; OpenBLAS multiplies two matrices of 2048x2048 at 98.
"""

from benchmarks.benchmark import Benchmark, Candidate, Goal
from benchmarks.timing.latency import P50

INT8, ONNX, PREDICT = "LiteRT, int8", "onnxruntime", "model.predict"
BATCH_32 = P50.format(32)
FLOAT = "LiteRT, float32"

BENCHMARK = Benchmark(
    title="fashion_mnist, p50 at batch 1, every runtime on all cores",
    unit="ms",
    higher_is_better=False,
    candidates=(
        Candidate(PREDICT, "peers/keras_infer.py", ("predict",)),
        Candidate("model(x)", "peers/keras_infer.py", ("call",)),
        Candidate("tf.function", "peers/keras_infer.py", ("function",)),
        Candidate("SavedModel", "ours/infer.py", ("tensorflow", "saved_model/1")),
        Candidate("C API", "ours/infer.py", ("c_api", "saved_model/1")),
        Candidate(FLOAT, "ours/infer.py", ("litert", "tflite/float32.tflite")),
        Candidate(INT8, "ours/infer.py", ("litert", "tflite/int8.tflite")),
        Candidate(ONNX, "ours/infer.py", ("onnx", "onnx/model.onnx"), ("onnxruntime", "numpy")),
        Candidate("OpenVINO", "ours/infer.py", ("openvino", "saved_model/1"), ("openvino", "numpy")),
    ),
    goals=(
        Goal(INT8, PREDICT, 20),
        Goal(INT8, ONNX, 1),
        Goal(FLOAT, ONNX, 1),
        *(Goal(ours, ONNX, 1, of=BATCH_32) for ours in (INT8, FLOAT)),
    ),
    prepare="prepare/inference.py",
)
