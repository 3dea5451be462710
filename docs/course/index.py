"""The index of the course: each lesson, exercise and project with its models, its command and its page."""

from dataclasses import dataclass
from pathlib import Path

from docs.course.lessons import LESSONS
from docs.model_table import markdown_table
from zoo.core import registry
from zoobase.files import write_atomic


@dataclass(frozen=True)
class Row:
    """What the course has, and where it is here.

    Attributes:
        topic: The lesson, exercise or project of the course.
        models: Models of the zoo.
        command: What to run.
        page: Name of the lesson here, empty if there is none.
        reason: Why it is covered in part or not at all; empty if it is covered.
    """

    topic: str
    models: tuple[str, ...]
    command: str
    page: str
    reason: str = ""

    @property
    def covered(self) -> str:
        """yes, partly or no."""
        return "yes" if not self.reason else "partly" if self.page else "no"


NO_LESSON = "There is a model with a page, but no lesson about it."
COURSE: tuple[Row, ...] = (
    Row(
        "Perceptron, logistic regression, maximum likelihood",
        ("admissions",),
        "python -m docs.course perceptron",
        "perceptron",
    ),
    Row("Cross-entropy, one-hot columns", ("admissions",), "python -m docs.course perceptron", "perceptron"),
    Row(
        "Predicting student admissions (exercise)",
        ("admissions",),
        "python -m zoo.train admissions",
        "perceptron",
        "The course's table may not be distributed: breast cancer data stands in; `--data-dir binary.csv` takes it.",
    ),
    Row(
        "Gradient descent, backpropagation by hand",
        ("bike_sharing",),
        "python -m docs.course backpropagation",
        "backpropagation",
    ),
    Row("Predicting bike sharing (project)", ("bike_sharing",), "python -m zoo.train bike_sharing", "backpropagation"),
    Row("Your own table instead", ("table",), "python -m zoo.train table --data-dir FILE.csv", "backpropagation"),
    Row("Softmax, cross-entropy of many classes", ("mnist",), "python -m docs.course classification", "classification"),
    Row(
        "compile, metrics, History; sparse and one-hot losses",
        ("mnist",),
        "python -m docs.course classification",
        "classification",
    ),
    Row(
        "Training networks: early stopping, L1, L2, dropout, momentum", ("mnist",), "python -m docs.recipes", "fitting"
    ),
    Row("Adam", ("mnist",), "python -m docs.course fitting", "fitting"),
    Row(
        "Local minima, random restarts, learning rate decay, batch size",
        ("mnist",),
        "python -m docs.course fitting",
        "fitting",
    ),
    Row("Hyper-parameters", ("mnist",), "python -m zoo.tune mnist --space examples/space.toml", "fitting"),
    Row(
        "Vanishing gradients, activations, initial weights",
        ("mnist",),
        "python -m docs.course activations",
        "activations",
    ),
    Row("Sentiment by hand in NumPy (exercise)", ("sentiment",), "python -m docs.course text", "text"),
    Row(
        "IMDB in Keras (exercise)",
        ("sentiment",),
        "python -m zoo.train sentiment",
        "text",
        "Reviews of one sentence (Pang and Lee) stand in for IMDB, which no package carries; "
        "`--set data=imdb_reviews` takes it where it can be fetched.",
    ),
    Row(
        "Keras: Sequential, functional, subclass; tensors",
        ("fashion_mnist",),
        "python -m docs.course pipelines_and_models",
        "pipelines_and_models",
    ),
    Row(
        "tf.matmul, tf.reduce_sum, Dataset.take",
        ("fashion_mnist",),
        "python -m docs.course pipelines_and_models",
        "pipelines_and_models",
    ),
    Row("tf.data pipelines", ("fashion_mnist",), "python -m docs.course pipelines_and_models", "pipelines_and_models"),
    Row("MNIST, dense network (exercise)", ("mnist",), "python -m zoo.train mnist", "activations"),
    Row("Fashion-MNIST (exercise)", ("fashion_mnist",), "python -m zoo.train fashion_mnist", "pipelines_and_models"),
    Row("Normalisation of images", ("mnist",), "python -m docs.course pipelines_and_models", "pipelines_and_models"),
    Row("Convolutional networks, pooling, shapes", ("mnist_cnn",), "python -m zoo.train mnist_cnn", "convolutions"),
    Row(
        "AlexNet, VGG, ResNet",
        ("fashion_mnist", "efficientnet_lite0"),
        "python -m docs.course architectures",
        "architectures",
        "Explained, and their ideas measured on small networks; AlexNet and VGG16 themselves are not "
        "trained, since ImageNet is not here.",
    ),
    Row("Saving and loading models, ModelCheckpoint", ("mnist",), "python -m docs.course saving", "saving"),
    Row(
        "Data augmentation",
        ("flowers",),
        "python -m pipelines preview PHOTOS/ --augment flowers -o grid.png",
        "transfer",
    ),
    Row(
        "Transfer learning, four cases", ("flowers", "efficientnet_lite0"), "python -m docs.course transfer", "transfer"
    ),
    Row(
        "Flower image classifier (project)",
        ("flowers",),
        "python -m zoo.train flowers --data-dir PHOTOS/",
        "transfer",
        "The photographs of 102 flowers are fetched by TensorFlow Datasets, not by a package: with your own, "
        "`--data-dir`; the four cases are measured on other photographs.",
    ),
    Row(
        "Landmarks, dog breeds (project)",
        ("landmarks",),
        "python -m zoo.train landmarks --data-dir PHOTOS/",
        "transfer",
        "The photographs are not in a package: bring a folder.",
    ),
    Row(
        "Deep learning for cancer detection: sensitivity, precision, ROC",
        ("admissions",),
        "python -m docs.course medicine",
        "medicine",
    ),
    Row(
        "Dermatologist (project)",
        ("skin_lesions",),
        "python -m zoo.train skin_lesions --data-dir PHOTOS/",
        "medicine",
        "The ISIC photographs are not in a package: three garments stand in for the figures.",
    ),
    Row("Segmentation of images", ("unet",), "python -m zoo.train unet", "architectures", NO_LESSON),
    Row("Detection of objects", ("detector",), "python -m zoo.train detector", "architectures", NO_LESSON),
    Row(
        "Autoencoders, denoising, two decoders", ("autoencoder",), "python -m docs.course autoencoders", "autoencoders"
    ),
    Row("Style transfer", ("style_transfer",), "python -m zoo.stylize PHOTO.jpg --style PAINTING.jpg", "autoencoders"),
    Row(
        "Time-delay networks",
        (),
        "",
        "",
        "There is no lesson: recurrent networks and attention have taken their place.",
    ),
    Row("Recurrent networks: history, RNN, LSTM, GRU", ("text_rnn",), "python -m docs.course recurrent", "recurrent"),
    Row("Characters of a book (exercise)", ("text_rnn",), "python -m zoo.train text_rnn", "recurrent"),
    Row("Temperature of generated text", ("text_rnn",), "python -m zoo.sample text_rnn --temperature 0.7", "recurrent"),
    Row("Self-attention, a Transformer block", ("text_transformer",), "python -m docs.course text", "text"),
    Row(
        "A Transformer that generates (beyond the course)",
        ("text_transformer",),
        "python -m zoo.train text_transformer",
        "recurrent",
    ),
    Row("Embeddings, word2vec", ("word2vec",), "python -m zoo.train word2vec", "text"),
    Row("Sentiment with an RNN (exercise)", ("sentiment",), "python -m zoo.train sentiment --recipe recurrent", "text"),
    Row(
        "TV scripts (project)",
        ("text_rnn",),
        "python -m zoo.train text_rnn --set data=scripts --set task.level=words",
        "recurrent",
    ),
    Row(
        "Attention, machine translation", ("attention", "grapheme_to_phoneme"), "python -m zoo.train attention", "text"
    ),
    Row(
        "Encoder and decoder: teacher forcing, beam search",
        ("attention", "grapheme_to_phoneme"),
        "python -m zoo.train attention",
        "text",
    ),
    Row("Vectors of sentences (beyond the course)", ("text", "minilm"), "python -m zoo.train text", "text", NO_LESSON),
    Row(
        "Types of files, pitch of sounds, spoken words (beyond the course)",
        ("magika", "crepe", "keywords"),
        "python -m zoo info magika",
        "transfer",
        NO_LESSON,
    ),
    Row(
        "Faces with landmarks (beyond the course)",
        ("faces",),
        "python -m zoo.predict faces PHOTO",
        "transfer",
        NO_LESSON,
    ),
    Row("GAN (exercise)", ("gan",), "python -m zoo.train gan", "generative"),
    Row(
        "DCGAN, faces (project)",
        ("dcgan",),
        "python -m zoo.train dcgan",
        "generative",
        "Garments stand in for faces: no package carries CelebA; `--set data=celeb_a --data-dir FOLDER` takes it.",
    ),
    Row(
        "Flow matching: images of a class (beyond the course)",
        ("flow_matching",),
        "python -m zoo.train flow_matching",
        "generative",
        NO_LESSON,
    ),
    Row("PatchGAN, identity loss", ("pix2pix", "cyclegan"), "python -m docs.course generative", "generative"),
    Row("pix2pix", ("pix2pix",), "python -m zoo.train pix2pix", "generative"),
    Row("CycleGAN (exercise)", ("cyclegan",), "python -m zoo.train cyclegan", "generative"),
    Row(
        "Deployment, sentiment as a service (project)",
        ("sentiment",),
        "python -m export serve bundles/sentiment --page",
        "deployment",
        "By the built-in server or TF Serving on your machine; no account of a cloud is used.",
    ),
    Row(
        "PyTorch (chapter)", (), "", "", "This is a zoo of Keras models. [The equivalents](pytorch.md) are in a table."
    ),
)
BEFORE = """You can read Python and NumPy, multiply matrices, and differentiate a function of one variable;
probability up to the expected value. Nothing of Keras is needed before the third lesson. `make setup` installs
everything, and every command and exercise runs on two processor cores without a GPU."""


def text() -> str:
    """Return the page."""
    lessons = ["| | lesson | what it is about | before it | exercises | models |", "|---:|---|---|---|---|---|"]
    titles = {lesson.name: lesson.title for lesson in LESSONS}
    for number, lesson in enumerate(LESSONS, 1):
        needs = ", ".join(f"[{titles[name]}]({name}.md)" for name in lesson.needs)
        exercises = f"[notebook](notebooks/{lesson.name}.py)"
        page = f"[{lesson.title}]({lesson.name}.md)"
        lessons.append(f"| {number} | {page} | {lesson.topics} | {needs} | {exercises} | {_models(lesson.models)} |")
    course = ["| in the course | here | models | command | covered |", "|---|---|---|---|---|"]
    for row in COURSE:
        page = f"[{titles[row.page]}]({row.page}.md)" if row.page else ""
        covered = f"{row.covered}. {row.reason}".rstrip() if row.reason else row.covered
        command = f"`{row.command}`" if row.command else ""
        course.append(f"| {row.topic} | {page} | {_models(row.models)} | {command} | {covered} |")
    parts = [
        "# The course",
        "This zoo grew out of a course on deep learning. Each lesson has the idea in a paragraph, its "
        "formulas with links "
        "to\nthe code that computes them, an experiment, three exercises with solutions, and what to read next. The "
        "experiment is\nwritten by a command: it trains, measures, draws, and stops if something that the "
        "page says does "
        "not hold.",
        "    python -m docs.course              # all pages\n    python -m docs.course perceptron   # one page\n"
        "    python -m docs.course --text       # only texts, exercises and links, without measuring",
        "## Before you begin",
        BEFORE,
        "Words that you do not know: [glossary](glossary.md). What goes wrong first: [questions](faq.md). If "
        "you come from "
        "PyTorch:\n[equivalents](pytorch.md).",
        "## Lessons, in the order to read them",
        "\n".join(lessons),
        "The notebooks are Python files whose cells begin with `# %%`: VS Code, Spyder and PyCharm open them "
        "as they are, "
        "Jupyter with\n[jupytext](https://jupytext.readthedocs.io). On the site the same link is a Jupyter notebook, "
        "with one that opens it in Colab\nif the site is built for a repository "
        "(`python -m docs.site --repository OWNER/NAME`). "
        "Each lesson has a starter cell at least: it fails with a\nsentence until your answer is right.",
        "## What the course has, and where it is here",
        "\n".join(course),
        "## Models of the course",
        "Exercises, small on purpose, which other lists of models leave out.",
        markdown_table([name for name, entry in registry.entries().items() if entry.of_course], "../models/").rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


def _models(names: tuple[str, ...]) -> str:
    return ", ".join(f"[{name}](../models/{name}.md)" for name in names)


def write(folder: Path) -> None:
    """Write index.md."""
    write_atomic(folder / "index.md", text().encode())
