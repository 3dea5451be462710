"""Keep the TFLite files of the models of `command_line`, as `zoo.predict --keep` does."""

from zoo.prediction import kept
from zoobase.console import Console

for name in ("fashion_mnist", "sentiment"):
    kept.keep(name, Console(quiet=True))
