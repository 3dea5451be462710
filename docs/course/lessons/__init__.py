"""The lessons, one module each: `write(page)` measures, checks and writes the experiment of its page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """A lesson of the course.

    Attributes:
        name: Name of its module, page and notebook.
        part: The folder of its module, a part of the course.
        title: Heading of the page.
        topics: What it is about.
        models: The models that use it.
        needs: The lessons to read before.
        reading: (title, address) of what to read beside.
    """

    name: str
    part: str
    title: str
    topics: str
    models: tuple[str, ...]
    needs: tuple[str, ...] = ()
    reading: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """The module of its experiment."""
        return f"docs.course.lessons.{self.part}.{self.name}"


BOOK = "https://www.deeplearningbook.org/contents"
ARXIV = "https://arxiv.org/abs"
LESSONS = (
    Lesson(
        "perceptron",
        "basics",
        "From the perceptron to logistic regression",
        "decision line, maximum likelihood, cross-entropy, update rule, one-hot columns",
        ("admissions",),
        reading=(
            ("scikit-learn: logistic regression", "https://scikit-learn.org/stable/modules/linear_model.html"),
            ("Goodfellow, Bengio, Courville: Deep Learning, chapter 5", f"{BOOK}/ml.html"),
        ),
    ),
    Lesson(
        "backpropagation",
        "basics",
        "Gradient descent and backpropagation",
        "mean squared error, error term, chain rule layer by layer, learning rate, a two-layer network in NumPy",
        ("bike_sharing", "table"),
        ("perceptron",),
        reading=(("Goodfellow, Bengio, Courville: Deep Learning, section 6.5", f"{BOOK}/mlp.html"),),
    ),
    Lesson(
        "classification",
        "basics",
        "Classification with many classes",
        "softmax, sparse and one-hot cross-entropy, compile, metrics, History",
        ("mnist", "fashion_mnist", "sentiment"),
        ("perceptron", "backpropagation"),
        reading=(
            ("Keras: compile, fit and evaluate", "https://keras.io/api/models/model_training_apis/"),
            ("Keras: losses", "https://keras.io/api/losses/probabilistic_losses/"),
        ),
    ),
    Lesson(
        "fitting",
        "basics",
        "Under- and overfitting",
        "early stopping, L1 and L2, dropout, momentum, decay, batch size, random restarts, local minima, "
        "hyper-parameters",
        ("mnist",),
        ("classification",),
        reading=(
            ("Srivastava and others: dropout", "https://jmlr.org/papers/v15/srivastava14a.html"),
            ("Goodfellow, Bengio, Courville: Deep Learning, chapter 7", f"{BOOK}/regularization.html"),
        ),
    ),
    Lesson(
        "activations",
        "basics",
        "Vanishing gradients, activations and initial weights",
        "sigmoid, tanh, ReLU; zeros, too small, Glorot, He",
        ("mnist", "fashion_mnist"),
        ("backpropagation", "classification"),
        reading=(
            ("Glorot and Bengio 2010", "https://proceedings.mlr.press/v9/glorot10a.html"),
            ("He and others 2015", f"{ARXIV}/1502.01852"),
        ),
    ),
    Lesson(
        "pipelines_and_models",
        "practice",
        "Tensors, models and pipelines",
        "shapes; Sequential, add, functional, subclass; prefetch, cache, parallel map",
        ("fashion_mnist",),
        ("classification",),
        reading=(("TensorFlow: better performance with tf.data", "https://www.tensorflow.org/guide/data_performance"),),
    ),
    Lesson(
        "convolutions",
        "images",
        "Convolutions and pooling",
        "filters, frequencies, padding, stride, pooling, output shapes and parameters",
        ("mnist_cnn", "fashion_mnist", "efficientnet_lite0"),
        ("classification",),
        reading=(("Dumoulin and Visin: convolution arithmetic", f"{ARXIV}/1603.07285"),),
    ),
    Lesson(
        "architectures",
        "images",
        "Architectures: AlexNet, VGG, ResNet",
        "what changed between them, and what depth costs with and without shortcuts",
        ("fashion_mnist", "efficientnet_lite0", "unet"),
        ("convolutions", "activations"),
        reading=(
            ("Simonyan and Zisserman 2014: VGG", f"{ARXIV}/1409.1556"),
            ("He and others 2015: ResNet", f"{ARXIV}/1512.03385"),
        ),
    ),
    Lesson(
        "saving",
        "practice",
        "Saving and loading",
        "HDF5, .keras, SavedModel, TFLite; load_model, ModelCheckpoint; resuming, the best model, overwriting",
        ("mnist",),
        ("pipelines_and_models",),
        reading=(
            ("Keras: save and load", "https://keras.io/guides/serialization_and_saving/"),
            ("TensorFlow: SavedModel", "https://www.tensorflow.org/guide/saved_model"),
        ),
    ),
    Lesson(
        "transfer",
        "images",
        "Augmentation and transfer learning",
        "seven parameters of augmentation; four cases of transfer learning",
        ("flowers", "landmarks", "skin_lesions"),
        ("convolutions", "architectures"),
        reading=(("Yosinski and others 2014: how transferable are features", f"{ARXIV}/1411.1792"),),
    ),
    Lesson(
        "medicine",
        "images",
        "Sensitivity, specificity and thresholds",
        "threshold histogram, type I and II errors, precision and recall, ROC, three illnesses",
        ("admissions", "skin_lesions", "fashion_mnist"),
        ("perceptron", "transfer"),
        reading=(
            ("Esteva and others 2017: skin cancer", "https://www.nature.com/articles/nature21056"),
            ("scikit-learn: classification metrics", "https://scikit-learn.org/stable/modules/model_evaluation.html"),
        ),
    ),
    Lesson(
        "autoencoders",
        "images",
        "Autoencoders and style transfer",
        "compression against PCA, denoising, two kinds of decoder; Gram matrices, alpha and beta, the layers of the "
        "style",
        ("autoencoder", "unet", "style_transfer"),
        ("convolutions",),
        reading=(
            ("Gatys, Ecker, Bethge 2016: style transfer", f"{ARXIV}/1508.06576"),
            ("Odena and others 2016: checkerboard artefacts", "https://distill.pub/2016/deconv-checkerboard/"),
        ),
    ),
    Lesson(
        "recurrent",
        "sequences",
        "Recurrent networks",
        "backpropagation through time, LSTM, GRU, memory, carried state, scripts",
        ("text_rnn", "sentiment"),
        ("backpropagation", "activations"),
        reading=(
            ("Hochreiter and Schmidhuber 1997: LSTM", "https://doi.org/10.1162/neco.1997.9.8.1735"),
            ("Olah 2015: understanding LSTMs", "https://colah.github.io/posts/2015-08-Understanding-LSTMs/"),
        ),
    ),
    Lesson(
        "text",
        "sequences",
        "Embeddings, sentiment and attention",
        "word2vec with negative samples, sentiment by hand and in Keras, additive and multiplicative attention",
        ("word2vec", "sentiment", "text", "minilm", "attention", "grapheme_to_phoneme"),
        ("classification", "recurrent"),
        reading=(
            ("Mikolov and others 2013: word2vec", f"{ARXIV}/1310.4546"),
            ("Bahdanau, Cho, Bengio 2014: attention", f"{ARXIV}/1409.0473"),
        ),
    ),
    Lesson(
        "generative",
        "images",
        "Generative adversarial networks",
        "minimax, progress, mode collapse, pix2pix, CycleGAN",
        ("gan", "dcgan", "pix2pix", "cyclegan"),
        ("convolutions", "autoencoders"),
        reading=(
            ("Goodfellow and others 2014: GAN", f"{ARXIV}/1406.2661"),
            ("Zhu and others 2017: CycleGAN", f"{ARXIV}/1703.10593"),
        ),
    ),
    Lesson(
        "deployment",
        "practice",
        "Deployment",
        "build, deploy, use, tune, update",
        ("mnist", "sentiment"),
        ("saving",),
        reading=(("TensorFlow Serving: REST", "https://www.tensorflow.org/tfx/serving/api_rest"),),
    ),
)
