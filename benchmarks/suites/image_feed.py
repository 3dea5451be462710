"""Throughput of feeds on a folder of photographs, with augmentation and without caching."""

from benchmarks.benchmark import Benchmark, Candidate, Goal

TORCH = ("torch>=2.9", "torchvision", "numpy", "psutil")

BENCHMARK = Benchmark(
    title="JPEGs of 1152x896 to augmented batches of 32 at 224x224, nothing cached",
    unit="images/s",
    higher_is_better=True,
    candidates=(
        Candidate("our feed", "ours/image_feed.py"),
        Candidate("image_dataset_from_directory and Keras layers", "peers/keras_image_feed.py"),
        Candidate("torchvision, two workers", "peers/torchvision_feed.py", requirements=TORCH),
        Candidate("grain, two workers", "peers/grain_feed.py", requirements=(*TORCH, "grain")),
        Candidate("decode_jpeg alone, same DCT scale", "peers/decode_jpeg.py"),
    ),
    goals=(
        Goal("our feed", "image_dataset_from_directory and Keras layers", 2),
        Goal("our feed", "torchvision, two workers", 1.2),
        Goal("our feed", "grain, two workers", 0),
        Goal("our feed", "decode_jpeg alone, same DCT scale", 0.8),
        Goal("our feed", "torchvision, two workers", 0, of="peak MB"),
    ),
    prepare="prepare/photographs.py",
)
