"""Boxes move with the pixels of their images, and annotations of others are read, or refused in one sentence."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import stateless_random
from pipelines.augment import box_policy
from pipelines.datasets import garment_scenes
from pipelines.images import box_annotations, boxes, decoding, pixels
from zoobase.errors import DataError

RANDOM = np.random.default_rng(0)
SIDE = 40


def scene(box, height=SIDE, width=SIDE):
    """Return a black image with a white box, and its rows."""
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image, np.array([[*box, 3, 0], [0, 0, 0, 0, -1, 0]], np.float32)


def white(image):
    rows, columns = np.nonzero(image[..., 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else None


# === Augmentation and decoding ===


@pytest.mark.parametrize(
    "policy",
    ["flip", "shift", "flip,shift", "width_shift=0.2,height_shift=0.2,zoom=0.3,flip,fill=constant,brightness=0.02"],
)
def test_boxes_move_with_the_pixels(policy):
    pairs = [scene((x, y, x + 9, y + 13)) for x, y in RANDOM.integers(4, 24, (30, 2))]
    images, rows = map(np.stack, zip(*pairs, strict=True))
    keys = stateless_random.example_keys(0, 1, tf.range(30, dtype=tf.int64))
    moved_images, moved = (x.numpy() for x in box_policy(policy)((tf.constant(images), tf.constant(rows)), keys))
    assert np.abs(moved[:, 0, :4] - rows[:, 0, :4]).max() > 2
    assert (moved[:, 1] == rows[:, 1]).all()  # padding stays padding
    for image, row in zip(moved_images, moved[:, 0], strict=True):
        assert row[4] == 3
        assert np.abs(white(image) - row[:4]).max() <= 1  # a pixel, of interpolation
    one = box_policy(policy)((tf.constant(images[7:8]), tf.constant(rows[7:8])), keys[7:8])[1].numpy()
    np.testing.assert_array_equal(one[0], moved[7])  # whatever else is in the batch


def test_rotated_boxes_enclose_their_objects_and_those_outside_are_dropped():
    images, rows = (x[None] for x in scene((15, 10, 25, 30)))
    for epoch in range(5):
        keys = stateless_random.example_keys(0, epoch, tf.zeros(1, tf.int64))
        image, moved = box_policy("rotation=40,fill=constant")((tf.constant(images), tf.constant(rows)), keys)
        tight, box = white(image[0].numpy()), moved[0, 0].numpy()
        assert (box[:2] <= np.add(tight[:2], 1)).all()
        assert (box[2:4] >= np.subtract(tight[2:], 1)).all()
    left = tf.constant([[[0.0, 0, 10, 10, 1, 0]]])
    matrix = tf.constant([[[1.0, 0, 8], [0, 1, 0]]], tf.float64)  # eight pixels to the left: two of ten remain
    assert boxes.moved(left, matrix, SIDE, SIDE)[0, 0, 4] == boxes.PADDING
    matrix = tf.constant([[[1.0, 0, 6], [0, 1, 0]]], tf.float64)
    assert boxes.moved(left, matrix, SIDE, SIDE).numpy().tolist() == [[[0, 0, 4, 10, 1, 0]]]


@pytest.mark.parametrize("policy", ["mixup=0.2", "zoom=0.1,fill=reflect", "zoom=0.1,fill=wrap", "flop"])
def test_policies_without_boxes_are_refused(policy):
    with pytest.raises(DataError, match=r"mixed|without their boxes|there is no augmentation"):
        box_policy(policy)
    assert box_policy("none") is None


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(60, 40), (40, 64), (48, 48)])
def test_boxes_have_the_geometry_of_decoded_images(fit, size):
    image, rows = scene((12, 14, 30, 33), *size)
    example = {"boxes": rows[:1, :4], "labels": [3], "ignored": [1], "size": size}
    padded = boxes.padded({k: tf.constant(v) for k, v in example.items()}, 3, 32, 24, fit).numpy()
    decoded = pipelines.images.decode(tf.io.encode_png(image), 32, 24, 3, fit).numpy()
    assert np.abs(white(decoded) - padded[0, :4]).max() <= 1
    assert padded[0, 4:].tolist() == [3, 1]
    assert (padded[1:, 4] == boxes.PADDING).all()


def test_scenes_have_tight_boxes_of_what_is_visible():
    garments = np.zeros((3, 28, 28), np.uint8)
    garments[:, 4:20, 6:12] = 200
    image, mask, objects = garment_scenes.compose(
        np.zeros((1, 256, 256, 3), np.uint8), np.random.default_rng(5), garments, np.array([0, 1, 2])
    )
    assert image.shape == (64, 64, 3)
    for left, top, right, bottom, label in objects.astype(int):
        rows, columns = np.nonzero(mask[..., 0] == label + 1)
        assert left <= columns.min() < columns.max() < right
        assert top <= rows.min() < rows.max() < bottom
    assert len(objects)


# === Annotations of one's own ===

CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 9, "name": "never"}]


def coco(root, count=12, change=lambda content: None, name="annotations.json", images="images"):
    (root / images).mkdir(parents=True, exist_ok=True)
    content = {"categories": CATEGORIES, "images": [], "annotations": []}
    for i in range(count):
        Image.fromarray(RANDOM.integers(0, 255, (30, 50, 3), np.uint8)).save(root / images / f"{i}.png")
        content["images"].append({"id": 100 + i, "file_name": f"{i}.png", "height": 30, "width": 50})
        for j in range(i % 3):
            content["annotations"].append(
                {"id": len(content["annotations"]), "image_id": 100 + i, "category_id": (7, 3)[j]}
                | {"bbox": [2 + i, 3, 10, 20 - j], "iscrowd": int(i == 5)}
            )
    change(content)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content))
    return root


def load(root, tmp_path, data="box_folder"):
    return pipelines.load(data, data_dir=root, cache_dir=tmp_path / "cache")


def rows_of(dataset, *splits):
    examples = [e for s in splits or ("train", "validation", "test") for e in dataset[s].as_numpy_iterator()]
    return sorted(
        (*box.tolist(), int(label), int(ignored))
        for e in examples
        for box, label, ignored in zip(e["boxes"], e["labels"], e["ignored"], strict=True)
    )


def test_coco_is_read(tmp_path):
    data = load(coco(tmp_path / "coco"), tmp_path)
    assert data.info.class_names == ("dog", "cat")  # by id; what does not occur is no class
    assert sum(data.info.counts.values()) == 12
    assert data.info.statistics["most_objects"] == 2
    expected = [(2.0 + i, 3.0, 12.0 + i, 23.0 - j, (1, 0)[j], int(i == 5)) for i in range(12) for j in range(i % 3)]
    assert rows_of(data) == sorted(expected)
    assert all(e["size"].tolist() == [30, 50] for e in data.train.as_numpy_iterator())
    again = load(tmp_path / "coco", tmp_path, "garment_boxes")  # the default data of the detector
    assert again.info.to_json() == data.info.to_json()


def test_splits_of_coco_are_those_of_the_names(tmp_path):
    root = tmp_path / "coco"
    for split, count in (("train2017", 6), ("val2017", 3)):
        coco(root, count, name=f"annotations/instances_{split}.json", images=split)
    data = load(root, tmp_path)
    assert data.info.counts["validation"] == 3
    assert data.info.counts["train"] + data.info.counts["test"] == 6
    assert {r[0] for r in rows_of(data, "validation")} == {3.0, 4.0}


VOC = """<annotation><filename>{name}</filename><size><width>50</width><height>30</height><depth>3</depth></size>
<object><name>cat</name><difficult>{difficult}</difficult>
<bndbox><xmin>1</xmin><ymin>5</ymin><xmax>20</xmax><ymax>{bottom}</ymax></bndbox></object></annotation>"""


def voc(root, change=lambda name, text: text, count=20):
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        Image.fromarray(RANDOM.integers(0, 255, (30, 50, 3), np.uint8)).save(root / f"JPEGImages/{i}.jpg")
        text = change(i, VOC.format(name=f"{i}.jpg", difficult=int(i == 3), bottom=10 + i % 20))
        (root / f"Annotations/{i}.xml").write_text(text)
    (root / "ImageSets/Main/val.txt").write_text("1\n2 1\n")  # the other ones are for training
    return root


def test_voc_is_read(tmp_path):
    data = load(voc(tmp_path / "voc"), tmp_path)
    assert data.info.class_names == ("cat",)
    assert rows_of(data) == sorted((0.0, 4.0, 20.0, 10.0 + i, 0, int(i == 3)) for i in range(20))
    assert [r[3] for r in rows_of(data, "validation")] == [11.0, 12.0]


def annotation(**values):
    def change(content):
        content["annotations"][0] |= values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (annotation(bbox=[45, 3, 10, 5]), r"box of cat from \(45, 3\) to \(55, 8\) is outside the image of 50x30"),
        (annotation(bbox=[4, 3, 0, 5]), "has no area"),
        (annotation(bbox=[4, 3, float("nan"), 5]), "no number"),
        (annotation(category_id=55), "annotation 0 has the unknown category 55"),
        (annotation(image_id=55), "annotation 0 is of image 55, which it does not list"),
        (annotation(bbox=[4, 3]), "is no COCO annotation"),
        (lambda c: c["images"][0].update(height=31), "annotated with 50x31 pixels, and the image has 50x30"),
        (lambda c: c.pop("categories"), r"is no COCO annotation.*'categories'"),
    ],
)
def test_bad_coco_is_one_sentence(tmp_path, change, message):
    content = {"categories": CATEGORIES, "images": [{"id": 1, "file_name": "a.png", "height": 30, "width": 50}]}
    content["annotations"] = [{"id": 0, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}]
    change(content)
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        box_annotations.read_coco(tmp_path / "annotations.json")[0][0].check(30, 50)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("<annotation>", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>', "document type"),
        ("</annotation>", "", "is no XML"),
        ("annotation>", "other>", "begins with <other>, not with <annotation>"),
        ("<xmin>1</xmin>", "", "the box of cat has no xmin"),
        ("<xmin>1</xmin>", "<xmin>30</xmin>", "has no area"),
        ("<xmin>1</xmin>", "<xmin>one</xmin>", "could not convert"),
        ("<xmax>20</xmax>", "<xmax>70</xmax>", "outside the image"),
        ("<name>cat</name>", "", "an object of the annotation has no name"),
        ("<width>50</width>", "<width>51</width>", "annotated with 51x30 pixels"),
    ],
)
def test_bad_voc_is_one_sentence(tmp_path, find, put, message):
    (tmp_path / "a.xml").write_text(VOC.format(name="a.png", difficult=0, bottom=12).replace(find, put))
    with pytest.raises(DataError, match=message) as caught:
        box_annotations.read_voc(tmp_path / "a.xml").check(30, 50)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.png", "../../etc/passwd"])
def test_images_that_are_not_below_the_folder_are_one_sentence(tmp_path, name):
    root = coco(tmp_path / "coco", 5, lambda content: content["images"][0].update(file_name=name))
    with pytest.raises(DataError, match=f"{name}: there is no such image"):
        load(root, tmp_path)


def test_one_bad_file_among_many_is_left_out(tmp_path):
    data = load(voc(tmp_path / "voc", lambda i, text: text.replace("<xmin>", "<x>") if i == 9 else text), tmp_path)
    assert sum(data.info.counts.values()) == 19
    assert len(data.info.skipped) == 1


def test_what_is_ambiguous_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no annotations"):
        load(tmp_path / "empty", tmp_path)
    both = coco(voc(tmp_path / "both"))
    with pytest.raises(DataError, match=r"of COCO .annotations\.json. and of Pascal VOC"):
        load(both, tmp_path)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(30, 50), (7, 400), (224, 224), (3, 1)])
def test_an_image_is_placed_as_in_the_graph(size, fit):
    for value, expected in zip(
        pixels.placement(size, 32, 24, fit), decoding.fitted_size(size, 32, 24, fit), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
