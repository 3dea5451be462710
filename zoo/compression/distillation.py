"""Knowledge distillation: a model learns the outputs of another one beside the labels.

Reference: Hinton, Vinyals, Dean 2015, arXiv:1503.02531. The losses are those of `keras.distillation`. Its `Distiller`
is not used: it omits the weights of examples, and is a model around two, whose weights and states have other names.
"""

from pathlib import Path
from typing import Any

import keras

from zoo import weights
from zoo.core import registry
from zoo.core.plan import Plan
from zoo.core.run_folder import RunFolder
from zoo.modeling.instance_methods import replace_loss
from zoobase.errors import UsageError

TEMPERATURE = 3.0  # by which logits are divided
SHARE = 0.5  # of the loss that is the labels'


def check_teacher(teacher: str) -> None:
    """Raise UsageError, before any data is loaded, unless a teacher is a run or a model with default weights."""
    if Path(teacher).exists():
        RunFolder.open(teacher)
    elif teacher not in (models := registry.entries()) or not models[teacher].weights:
        raise UsageError(
            f"recipe.teacher={teacher} is neither a run nor a model with default weights: `python -m zoo weights` "
            "lists those"
        )


def load_teacher(teacher: str) -> keras.Model:
    """Return the model of a run with its best weights, or a model with its default weights."""
    model = RunFolder.open(teacher).model() if Path(teacher).exists() else weights.open_default(teacher)[1]
    model.trainable = False
    return model


def distil(student: keras.Model, teacher: keras.Model, plan: Plan, info: Any) -> None:
    """Prepare knowledge distillation: a compiled model learns the outputs of another one as much as the labels."""
    # Logits are compared by the Kullback-Leibler divergence of their probabilities at a temperature of 3, other outputs
    # by the squared difference. The loss of the validation stays that of the labels.
    name, given = plan.model, f"recipe.teacher={plan.recipe.teacher}"
    if getattr(student, "loss", None) is None:
        raise UsageError(f"{given} is not possible: {name} computes its losses itself; omit it")
    for kind in ("input", "output"):
        one, other = (getattr(model, f"{kind}_shape") for model in (teacher, student))
        if isinstance(other, list | dict) and kind == "output":
            raise UsageError(f"{given} is not possible: {name} has several outputs; omit it")
        if one != other:
            raise UsageError(f"{given} is not possible: the teacher has {kind}s {one}, and {name} has {other}; omit it")
    meaning = plan.task.contract(student, info).endpoints[0].outputs[0].meaning
    if meaning in ("logits", "probabilities") and student.output_shape[-1] > 1:
        # Keras 3.15 takes its default, the name of the loss, for a function of logits: the divergence is then negative
        loss = keras.distillation.LogitsDistillation(TEMPERATURE, loss=keras.losses.KLDivergence())
    else:
        loss = keras.distillation.FeatureDistillation(loss="mse")

    def combined(of_labels: Any, x: Any, y_pred: Any) -> Any:
        answers = keras.ops.cast(teacher(x, training=False), y_pred.dtype)
        return SHARE * of_labels + (1 - SHARE) * loss.compute_loss(answers, y_pred)

    replace_loss(student, combined)
