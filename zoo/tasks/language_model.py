"""The next token of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import pipelines
from zoo.recipes import Recipe
from zoo.specs import Evaluation, Shown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class LanguageModel:
    """Next-token prediction over windows of a text; the model returns logits at every position.

    Attributes:
        step_form: Makes of a model the model of one step, with its state as input and output (`step` endpoint).
        window: Tokens in a training example.
    """

    step_form: Callable[[keras.Model], keras.Model]
    window: int = 100

    title = "language modelling"

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the size of the vocabulary."""
        return {"vocabulary_size": len(info.vocabulary)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (tokens int32 (window,), the tokens that follow each int32 (window,))."""
        ids = [pipelines.text.encode(e["text"], info.vocabulary) for e in split.as_numpy_iterator()]
        return pipelines.feed(pipelines.text.windows(np.concatenate(ids), self.window))

    def compile(self, model: keras.Model, recipe: Recipe, info: Info, steps: int) -> None:
        """Compile with cross-entropy on logits and accuracy."""
        from zoo.losses import SparseCategoricalCrossentropy
        from zoo.optimizers import make_optimizer, regularize

        regularize(model, recipe)
        loss = SparseCategoricalCrossentropy(recipe.label_smoothing)
        model.compile(make_optimizer(recipe, steps), loss, metrics=["accuracy"], jit_compile=False)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the model itself."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (tokens -> logits) and `step` (token, state... -> logits, next_state...)."""
        from export.contract import Contract, Endpoint, Tensor
        from export.endpoints import tensor_endpoint

        size = len(info.vocabulary)
        tokens = Tensor("tokens", "int32", (None, self.window), "token", low=0, high=size - 1)
        whole = tensor_endpoint(served, [tokens], [Tensor("logits", "float32", (None, self.window, size), "logits")])
        step = self.step_form(served)
        states = [(n, i.shape[-1]) for n, i in step.input.items() if n.startswith("state")]
        one = Endpoint(
            "step",
            inputs=(
                Tensor("token", "int32", (1,), "token", low=0, high=size - 1),
                *(Tensor(n, "float32", (1, width), "state") for n, width in states),
            ),
            outputs=(
                Tensor("logits", "float32", (1, size), "logits"),
                *(Tensor(f"next_{n}", "float32", (1, width), "state") for n, width in states),
            ),
            call=lambda x: step(dict(x), training=False),
            formats=("saved_model", "tflite", "onnx"),
            batch=1,
        )
        return Contract((whole, one))

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return bits per token (characters here), and accuracy."""
        logits = outputs["logits"].astype(np.float64)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_probability = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        bits = -np.take_along_axis(log_probability, truth[..., None].astype(np.int64), axis=-1) / np.log(2)
        return {"bits_per_character": float(bits.mean()), "accuracy": float((logits.argmax(-1) == truth).mean())}

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield nothing yet: the curves say it."""
        return iter(())

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Shown:
        """Return a text: the prompt, and what the `step` endpoint goes on with, token by token.

        Options: prompt, length (200), temperature (1; 0 is greedy), top_p (1; Holtzman 2020, arXiv:1904.09751).
        """
        prompt = options.get("prompt") or "\n"
        ids = pipelines.text.encode(prompt, info.vocabulary)
        random = np.random.default_rng(seed)
        unknown = info.vocabulary.index(pipelines.text.UNKNOWN)
        states = {t.name: np.zeros(t.shape, np.float32) for t in contract["step"].inputs if t.meaning == "state"}
        written: list[int] = []
        for i in range(len(ids) + options.get("length", 200) - 1):
            token = ids[i] if i < len(ids) else written[-1]
            outputs = call("step", {"token": np.array([token], np.int32), **states})
            states = {name: outputs[f"next_{name}"] for name in states}
            if i >= len(ids) - 1:
                logits = outputs["logits"][0].astype(np.float64)
                logits[unknown] = -np.inf  # never written
                written.append(_choose(logits, random, options))
        text = pipelines.text.decode(written, info.vocabulary)
        return Shown(lines=tuple((prompt + text).split("\n")), rows=({"prompt": prompt, "text": text},))


def _choose(logits: np.ndarray, random: np.random.Generator, options: Mapping[str, Any]) -> int:
    temperature, top_p = options.get("temperature", 1.0), options.get("top_p", 1.0)
    if temperature == 0:
        return int(logits.argmax())
    scaled = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-scaled, kind="stable")
    share = np.cumsum(scaled[order]) / scaled.sum()
    kept = order[: int(np.searchsorted(share, top_p)) + 1]
    return int(random.choice(kept, p=scaled[kept] / scaled[kept].sum()))
