"""People cut out of photographs: the conversion, the cut-out at the size of the photograph, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

import zoo
from pipelines.dataset import Info
from zoo.core.task import Query
from zoo.evaluation import images
from zoo.tasks.image.cut_out import CutOut
from zoo.weights.person_segmentation import PERSON, _name
from zoobase.errors import UsageError, ZooError


def test_conversion_gives_the_background_the_logit_0():
    model = zoo.build("person_segmentation", image_shape=(32, 32, 3))
    random, tensors = np.random.default_rng(0), {}
    for variable in model.weights:
        name, shape = _name(variable.path), tuple(variable.shape)
        if variable.path.startswith("logits"):
            shape = (1, 2, 2, 16) if len(shape) == 4 else (1,)
        elif len(shape) == 4:
            shape = (shape[3], *shape[:3])
        tensors[name] = random.normal(0, 0.1, shape).astype("float32")
    PERSON.assign(model, tensors)
    logits = model(random.uniform(0, 255, (1, 32, 32, 3)).astype("float32")).numpy()
    assert not logits[..., 0].any()
    assert logits[..., 1].std() > 0
    assert model.count_params() == sum(value.size for value in tensors.values()) + 2 * 2 * 16 + 1
    with pytest.raises(ZooError, match="no conv2d/Kernel"):
        PERSON.assign(model, {name: value for name, value in tensors.items() if name != "conv2d/Kernel"})


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_a_cut_out_has_the_size_of_the_photograph(fit, tmp_path):
    """The left half of the model's image is background, wherever that is in the photograph."""
    Image.fromarray(data.astronaut()[:300]).save(tmp_path / "photo.png")
    task = CutOut(64, 64, 3, fit)
    logits = np.zeros((64, 64, 2), "float32")
    logits[:, :32, 0] = logits[:, 32:, 1] = 50
    query = Query(
        str(tmp_path / "photo.png"),
        {"image": np.zeros((64, 64, 3), "uint8")},
        {"logits": logits},
        None,
        Info("photos", "", "", "", {}, {}, class_names=("background", "person")),
        3,
    )
    prediction = task.explain(query)
    assert prediction.image.shape == (300, 512, 4)
    np.testing.assert_array_equal(prediction.image[..., :3], data.astronaut()[:300])
    alpha = prediction.image[..., 3]
    assert (alpha[40:260, :240] == 0).all()
    assert (alpha[40:260, 272:400] == 255).all()
    assert {row["label"] for row in prediction.rows} == {"background", "person"}
    for name in ("cut.png", "cut.jpg"):
        images.write(tmp_path / name, prediction.image)
    with Image.open(tmp_path / "cut.png") as png, Image.open(tmp_path / "cut.jpg") as jpeg:
        np.testing.assert_array_equal(png, prediction.image)
        assert np.asarray(jpeg)[:, :230].min() > 250  # JPEG has no transparency: white


@pytest.mark.parametrize("shape", [(250, 256, 3), (256, 256, 1)])
def test_images_of_other_sizes_are_refused(shape):
    with pytest.raises(UsageError, match=r"must be multiples of 16, and task\.channels 3"):
        zoo.build("person_segmentation", image_shape=shape)
