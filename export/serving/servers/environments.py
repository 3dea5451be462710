"""The environments of servers, of older versions of TensorFlow, and of runtimes of devices."""

from export.runners.environments import MEDIAPIPE, ONNX_GPU, TFLITE_MICRO, TORCH, VELA, Environment

KSERVE = Environment("kserve", ("kserve==0.21.0",), "KServe's ModelServer: TF Serving's REST URLs")
# with NumPy 2.4 Triton's Python backend returns empty outputs
TRITON = Environment("triton", ("nvidia-pytriton==0.7.0", "numpy==1.26.4"), "NVIDIA Triton 2.51: HTTP and gRPC")
OLDER = tuple(
    Environment(
        f"tensorflow-{version.rpartition('.')[0]}",
        (f"tensorflow-cpu=={version}",),
        f"the loader of TF Serving {version.rpartition('.')[0]}",
        dependencies=False,
    )
    for version in ("2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0")
)
ENVIRONMENTS = {
    environment.name: environment
    for environment in (KSERVE, TRITON, *OLDER, MEDIAPIPE, TFLITE_MICRO, VELA, ONNX_GPU, TORCH)
}
