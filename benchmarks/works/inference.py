"""What an answer costs in each runtime of a bundle.

In float32 at batch 1 LiteRT and onnxruntime are close: on both cores of an AMD EPYC 0.44 ms against 0.43, on one 0.87
against 0.78 (the best of 500, as all of these). One at a time on one core, the convolutions (98 % of the time) run at
105 to 108 GFLOP/s in XNNPACK and at 111 to 119 in onnxruntime, where OpenBLAS multiplies two matrices of 2048x2048 at
98: its kernels keep the multipliers busier, and nothing beside them costs.
"""

from benchmarks.benchmark import Contender, Goal, Work
from benchmarks.timing.latency import P50

INT8, ONNX, PREDICT = "LiteRT, int8", "onnxruntime", "model.predict"
BATCH_32 = P50.format(32)
FLOAT = "LiteRT, float32"

WORK = Work(
    title="fashion_mnist, p50 at batch 1, every runtime on all cores",
    unit="ms",
    higher_is_better=False,
    contenders=(
        Contender(PREDICT, "peers/keras_infer.py", ("predict",)),
        Contender("model(x)", "peers/keras_infer.py", ("call",)),
        Contender("tf.function", "peers/keras_infer.py", ("function",)),
        Contender("SavedModel", "ours/infer.py", ("tensorflow", "saved_model/1")),
        Contender("C API", "ours/infer.py", ("c_api", "saved_model/1")),
        Contender(FLOAT, "ours/infer.py", ("litert", "tflite/float32.tflite")),
        Contender(INT8, "ours/infer.py", ("litert", "tflite/int8.tflite")),
        Contender(ONNX, "ours/infer.py", ("onnx", "onnx/model.onnx"), ("onnxruntime", "numpy")),
        Contender("OpenVINO", "ours/infer.py", ("openvino", "saved_model/1"), ("openvino", "numpy")),
    ),
    goals=(
        Goal(INT8, PREDICT, 20),
        Goal(INT8, ONNX, 1),
        Goal(FLOAT, ONNX, 1),
        *(Goal(ours, ONNX, 1, of=BATCH_32) for ours in (INT8, FLOAT)),
    ),
    prepare="prepare/inference.py",
)
