"""Keep the TFLite files of the models of `command_line`, as the first prediction does."""

from commandline.console import Console
from zoo.prediction import kept

for name in ("fashion_mnist", "sentiment"):
    kept.keep(name, Console(quiet=True))
