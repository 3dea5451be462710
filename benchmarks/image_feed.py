"""The feed for folders of photographs against its peers: python benchmarks/image_feed.py [--images 200]

Real photographs (scikit-image, scikit-learn) at 1152x896 as JPEG, batches of 32 at 224x224; rotation, shift, shear,
zoom, flip, brightness and contrast; nothing is cached. Rounds alternate, so that all meet the same machine;
the medians of the rounds are compared. torchvision runs where TORCH_PYTHON (or this Python) has it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZE, BATCH = 224, 32
TORCH = f"""
import sys, time, torch
from torchvision import datasets
from torchvision.transforms import v2
torch.set_num_threads(1)
steps = [v2.Resize({SIZE}), v2.CenterCrop({SIZE}), v2.RandomHorizontalFlip()]
steps += [v2.RandomAffine(15, (0.1, 0.1), (0.85, 1.15), 5), v2.ColorJitter(0.1, 0.2), v2.PILToTensor()]
data = datasets.ImageFolder(sys.argv[1], v2.Compose(steps))
loader = torch.utils.data.DataLoader(data, batch_size={BATCH}, shuffle=True, num_workers=2)
count, batches = 0, iter(loader)
count -= len(next(batches)[1])  # the workers have started
began = time.perf_counter()
count = sum(len(y) for _, y in batches)
print(count / (time.perf_counter() - began))
"""


def write_photographs(root: Path, count: int) -> None:
    """Write `count` JPEGs of 1152x896 in four classes."""
    from PIL import Image

    from tests.photographs import photographs

    random, pictures = np.random.default_rng(0), list(photographs().values())
    for i in range(count):
        picture = pictures[i % len(pictures)]
        width = int(random.integers(picture.width * 2 // 3, picture.width + 1))
        height = min(picture.height, width * 896 // 1152)
        left = int(random.integers(0, picture.width - width + 1))
        crop = picture.crop((left, 0, left + width, height)).resize((1152, 896), Image.Resampling.BICUBIC)
        folder = root / f"class{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        crop.save(folder / f"{i}.jpg", quality=90)


def rate(dataset, count: int) -> float:
    """Return images per second over all batches but the first, which starts the pipeline."""
    batches = iter(dataset)
    first = next(batches)[0].shape[0]
    began = time.perf_counter()
    for _ in batches:
        pass
    return (count - first) / (time.perf_counter() - began)


def ours(root: Path):
    """Our feed: decoded, augmented, batched."""
    import tensorflow as tf

    import pipelines

    paths = sorted(str(p) for p in root.rglob("*.jpg"))
    examples = tf.data.Dataset.from_tensor_slices((paths, list(range(len(paths)))))

    def decode(path, label):
        return pipelines.images.decode(tf.io.read_file(path), SIZE, SIZE, 3, "crop"), label

    feed = pipelines.feed(
        examples.map(decode, tf.data.AUTOTUNE), augment=pipelines.augment.policy("photographs"), cache="none"
    )
    return feed.epochs(BATCH, seed=0, stop=1)


def keras_layers(root: Path):
    """image_dataset_from_directory and Keras' random layers, mapped in parallel."""
    import keras
    import tensorflow as tf

    layers = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(15 / 360)]
    layers += [
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomShear(0.05, 0.05),
        keras.layers.RandomZoom(0.15),
    ]
    layers += [keras.layers.RandomBrightness(0.1), keras.layers.RandomContrast(0.2)]
    data = keras.utils.image_dataset_from_directory(
        str(root), image_size=(SIZE, SIZE), batch_size=BATCH, crop_to_aspect_ratio=True, verbose=False
    )

    def augment(images, labels):
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    return data.map(augment, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def decoding_alone(root: Path):
    """decode_jpeg at the same DCT scale, batched by number only."""
    import tensorflow as tf

    paths = tf.data.Dataset.from_tensor_slices(sorted(str(p) for p in root.rglob("*.jpg")))
    decoded = paths.map(lambda p: tf.io.decode_jpeg(tf.io.read_file(p), 3, ratio=4), tf.data.AUTOTUNE)
    return decoded.map(lambda image: (image[0, 0, :1],)).batch(BATCH)


def torchvision(root: Path) -> float | None:
    """Images per second of a DataLoader with two workers; None where there is no torchvision."""
    python = os.environ.get("TORCH_PYTHON", sys.executable)
    done = subprocess.run([python, "-c", TORCH, str(root)], capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_photographs(root, arguments.images)
        contenders = {"ours": ours, "keras": keras_layers, "decoding alone": decoding_alone}
        rates = {name: [] for name in (*contenders, "torchvision")}
        for make in contenders.values():
            rate(make(root), arguments.images)  # traces and warms the disk cache
        for _ in range(arguments.rounds):
            for name, make in contenders.items():
                rates[name].append(rate(make(root), arguments.images))
            if (told := torchvision(root)) is not None:
                rates["torchvision"].append(told)
    medians = {name: statistics.median(held) for name, held in rates.items() if held}
    for name, value in medians.items():
        print(f"{name:15} {value:8.1f} images/s   ours is {medians['ours'] / value:.2f} times as fast", file=sys.stderr)
    print(json.dumps({"images_per_second": medians, "rounds": rates}, indent=2))


if __name__ == "__main__":
    main()
