"""The index of the course: each lesson, exercise and project with its models, its command and its page."""

from __future__ import annotations

from pathlib import Path

from docs.course.lessons import LESSONS
from zoobase.files import write_atomic

Row = tuple[str, tuple[str, ...], str, str]  # what the course has, models, command, page

COURSE: tuple[Row, ...] = (
    ("Perceptron, logistic regression", ("admissions",), "python -m zoo.train admissions", "perceptron"),
    ("Predicting student admissions (exercise)", ("admissions",), "python -m zoo.train admissions", "perceptron"),
    (
        "Gradient descent, backpropagation",
        ("bike_sharing",),
        "python -m docs.course backpropagation",
        "backpropagation",
    ),
    ("Predicting bike sharing (project)", ("bike_sharing",), "python -m zoo.train bike_sharing", "backpropagation"),
    ("Your own table instead", ("table",), "python -m zoo.train table --data-dir FILE.csv", "backpropagation"),
    ("Training neural networks", ("mnist",), "python -m docs.recipes", "fitting"),
    ("Vanishing gradients, initial weights", ("mnist",), "python -m zoo.train mnist --activation tanh", "activations"),
    ("Sentiment by hand, IMDB in Keras (exercise)", ("sentiment",), "python -m zoo.train sentiment", "recurrent"),
    ("Keras, tensors, pipelines", ("fashion_mnist",), "python -m zoo.train fashion_mnist", "pipelines_and_models"),
    ("MNIST, dense network (exercise)", ("mnist",), "python -m zoo.train mnist", "activations"),
    ("Fashion-MNIST (exercise)", ("fashion_mnist",), "python -m zoo.train fashion_mnist", "pipelines_and_models"),
    ("Convolutional networks", ("mnist_cnn",), "python -m zoo.train mnist_cnn", "convolutions"),
    ("Saving and loading models", ("mnist",), "python -m zoo.export RUN", "saving"),
    (
        "Data augmentation",
        ("flowers",),
        "python -m pipelines preview PHOTOS/ --augment flowers -o grid.png",
        "transfer",
    ),
    (
        "Transfer learning; other sizes of its backbone",
        ("flowers", *(f"efficientnet_lite{i}" for i in range(5))),
        "python -m zoo.train flowers --data-dir PHOTOS/",
        "transfer",
    ),
    ("Flower image classifier (project)", ("flowers",), "python -m zoo.train flowers", "transfer"),
    ("Landmarks, dog breeds (project)", ("landmarks",), "python -m zoo.train landmarks --data-dir PHOTOS/", "transfer"),
    ("Deep learning for cancer detection", ("admissions",), "python -m docs.course medicine", "medicine"),
    ("Dermatologist (project)", ("skin_lesions",), "python -m zoo.train skin_lesions --data-dir PHOTOS/", "medicine"),
    ("Segmentation of images", ("unet",), "python -m zoo.train unet", "convolutions"),
    ("Autoencoders", ("autoencoder",), "python -m zoo.train autoencoder --kind denoising", "autoencoders"),
    (
        "Style transfer",
        ("style_transfer", "style_transfer_casa_mila"),
        "python -m zoo.stylize PHOTO.jpg --style PAINTING.jpg",
        "autoencoders",
    ),
    ("Recurrent networks, LSTM, GRU", ("text_rnn",), "python -m zoo.train text_rnn --cell lstm", "recurrent"),
    ("Characters of a book (exercise)", ("text_rnn",), "python -m zoo.train text_rnn", "recurrent"),
    ("Embeddings, word2vec", ("word2vec",), "python -m zoo.train word2vec", "recurrent"),
    (
        "Sentiment with an RNN (exercise)",
        ("sentiment",),
        "python -m zoo.train sentiment --recipe recurrent",
        "recurrent",
    ),
    ("TV scripts (project)", ("text_rnn",), "python -m zoo.train text_rnn --set data=scripts", "recurrent"),
    (
        "Attention, machine translation",
        ("attention", "grapheme_to_phoneme"),
        "python -m zoo.train attention",
        "recurrent",
    ),
    ("Vectors of sentences (beyond the course)", ("text", "minilm"), "python -m zoo.train text", "recurrent"),
    (
        "Types of files, pitch of sounds (beyond the course)",
        ("magika", "crepe"),
        "python -m zoo info magika",
        "transfer",
    ),
    ("GAN (exercise)", ("gan",), "python -m zoo.train gan", "generative"),
    ("DCGAN, faces (project)", ("dcgan",), "python -m zoo.train dcgan --set data=celeb_a", "generative"),
    ("pix2pix", ("pix2pix",), "python -m zoo.train pix2pix", "generative"),
    ("CycleGAN (exercise)", ("cyclegan",), "python -m zoo.train cyclegan", "generative"),
    (
        "Deployment, sentiment as a service (project)",
        ("sentiment",),
        "python -m export serve bundles/sentiment --page",
        "deployment",
    ),
)


def text() -> str:
    """Return the page."""
    lessons = ["| lesson | what it shows | models | written by |", "|---|---|---|---|"]
    for lesson in LESSONS:
        page, command = f"[{lesson.title}]({lesson.name}.md)", f"`python -m docs.course {lesson.name}`"
        lessons.append(f"| {page} | {lesson.topics} | {_models(lesson.models)} | {command} |")
    titles = {lesson.name: lesson.title for lesson in LESSONS}
    course = ["| in the course | model | command | page |", "|---|---|---|---|"]
    for what, models, command, page in COURSE:
        course.append(f"| {what} | {_models(models)} | `{command}` | [{titles[page]}]({page}.md) |")
    parts = [
        "# The course",
        "This zoo grew out of a course on deep learning. Each page shows what a lesson is about with the models, "
        "recipes\nand commands of the zoo. A page is written by a command in a few minutes on two cores: it trains, "
        "measures, draws,\nand stops if something that the page says does not hold.",
        "    python -m docs.course              # all pages\n    python -m docs.course perceptron   # one page",
        "## Lessons",
        "\n".join(lessons),
        "## What the course has, and where it is here",
        "\n".join(course),
    ]
    return "\n\n".join(parts) + "\n"


def _models(names: tuple[str, ...]) -> str:
    return ", ".join(f"[{name}](../models/{name}.md)" for name in names)


def write(folder: Path) -> None:
    """Write index.md."""
    write_atomic(folder / "index.md", text().encode())
