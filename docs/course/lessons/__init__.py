"""The lessons, one module each: `write(page)` measures, checks and writes its page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """A lesson of the course.

    Attributes:
        name: Name of its module and page.
        title: Heading of the page.
        topics: What it is about.
        models: The models that it runs.
    """

    name: str
    title: str
    topics: str
    models: tuple[str, ...]


LESSONS = (
    Lesson(
        "perceptron",
        "From the perceptron to logistic regression",
        "decision line, error surface, update rule, one-hot, cross-entropy",
        ("admissions",),
    ),
    Lesson(
        "backpropagation",
        "Gradient descent and backpropagation",
        "mean squared error, chain rule, learning rate, a two-layer network by NumPy",
        ("bike_sharing",),
    ),
    Lesson(
        "fitting",
        "Under- and overfitting",
        "early stopping, L1 and L2, dropout, momentum, decay, batch size, random restarts, local minima",
        ("mnist",),
    ),
    Lesson(
        "activations",
        "Vanishing gradients, activations and initial weights",
        "sigmoid, tanh, ReLU; zeros, too small, Glorot, He",
        ("mnist", "fashion_mnist"),
    ),
    Lesson(
        "pipelines_and_models",
        "Tensors, models and pipelines",
        "shapes; Sequential, add, functional, subclass; prefetch, cache, parallel map",
        ("fashion_mnist",),
    ),
    Lesson(
        "convolutions",
        "Convolutions and pooling",
        "filters, frequencies, padding, pooling, output shapes and parameters",
        ("fashion_mnist", "efficientnet_lite0"),
    ),
    Lesson(
        "saving",
        "Saving and loading",
        "HDF5, .keras, SavedModel, TFLite; resuming, the best model, overwriting",
        ("mnist",),
    ),
    Lesson(
        "transfer",
        "Augmentation and transfer learning",
        "seven parameters of augmentation; four cases of transfer learning",
        ("flowers", "landmarks", "skin_lesions"),
    ),
    Lesson(
        "medicine",
        "Sensitivity, specificity and thresholds",
        "threshold histogram, type I and II errors, ROC, three illnesses",
        ("admissions", "skin_lesions", "fashion_mnist"),
    ),
    Lesson(
        "autoencoders",
        "Autoencoders and style transfer",
        "compression against PCA, denoising; alpha and beta, the layers of the style",
        ("autoencoder", "style_transfer"),
    ),
    Lesson(
        "recurrent",
        "Recurrent networks and text",
        "RNN, LSTM, GRU: gradient through time, memory, carried state; word2vec, sentiment, attention, scripts",
        ("text_rnn", "word2vec", "sentiment", "attention", "grapheme_to_phoneme"),
    ),
    Lesson(
        "generative",
        "Generative adversarial networks",
        "progress, mode collapse, pix2pix, CycleGAN",
        ("gan", "dcgan", "pix2pix", "cyclegan"),
    ),
    Lesson(
        "deployment",
        "Deployment",
        "build, deploy, use, tune, update",
        ("mnist", "sentiment"),
    ),
)
