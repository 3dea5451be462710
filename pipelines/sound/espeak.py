"""Words spoken by eSpeak NG, a formant synthesiser (github.com/espeak-ng/espeak-ng), in a process of its own.

The package is PyPI espeakng-loader, of which only the library and its voices are used. The process is new for each call
of `speak`, because the library keeps state from one word to the next: the same words in the same order are the same
samples. Its program is this file, which imports nothing of this project.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

LIBRARIES = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")
UNEQUAL = ("Alicia", "Demonic", "f2")  # voices with noise that differs from one process to the next
RATE = 22_050
SECONDS = 600.0  # for which the process may run
_SYNCHRONOUS, _UTF8, _OK = 2, 1, 0
_SPEED, _PITCH, _RANGE = 1, 3, 4  # numbers of parameters


class Word(NamedTuple):
    """A word and how it is spoken.

    Attributes:
        text: The word.
        voice: A language and perhaps one of the `variants`, such as "en-us+Annie".
        speed: Words a minute, from 80 to 450.
        pitch: From 0 to 99; 50 is usual.
        range: Change of the pitch in a word, from 0 to 99.
    """

    text: str
    voice: str
    speed: int = 175
    pitch: int = 50
    range: int = 50


def variants(package: Path) -> list[str]:
    """Return the names of the voices in a folder of the package whose samples are the same in every process."""
    return sorted({path.name for path in (package / "espeak-ng-data" / "voices" / "!v").iterdir()} - {*UNEQUAL})


def speak(words: Sequence[Word], package: Path) -> list[np.ndarray]:
    """Return the samples of words, int16 (N,) each, at 22,050 Hz.

    Args:
        words: The words.
        package: Folder of the package.

    Raises:
        SourceUnavailable: The library cannot be loaded on this machine, or fails.
    """
    import tempfile  # here, because the process needs none of these

    from pipelines.sources import packages

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "words.json").write_text(json.dumps(words))
        command = [sys.executable, "-P", __file__, str(package), "words.json", "samples.npz"]
        packages.run(command, cwd=folder, seconds=SECONDS)
        with np.load(folder / "samples.npz", allow_pickle=False) as arrays:
            return np.split(arrays["samples"], arrays["ends"][:-1])


def _run(package: Path, words: Sequence[Word]) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of all words, int16 (N,), and the end of each, int64 (words,)."""
    library = ctypes.CDLL(str(next(package / name for name in LIBRARIES if (package / name).is_file())))
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(package).encode(), 0) != RATE:
        raise SystemExit("eSpeak NG has no voices, or another rate")
    parts: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples: ctypes._Pointer, count: int, events: int) -> int:
        if samples and count:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(collect)
    spoken = []
    for word in words:
        if library.espeak_SetVoiceByName(word.voice.encode()) != _OK:
            raise SystemExit(f"eSpeak NG has no voice {word.voice}")
        for number, value in ((_SPEED, word.speed), (_PITCH, word.pitch), (_RANGE, word.range)):
            library.espeak_SetParameter(number, value, 0)
        text = word.text.encode() + b"\0"
        if library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None) != _OK:
            raise SystemExit(f"eSpeak NG cannot speak {word.text!r}")
        spoken.append(np.concatenate(parts))
        parts.clear()
    return np.concatenate(spoken), np.cumsum([len(part) for part in spoken])


if __name__ == "__main__":
    samples, ends = _run(Path(sys.argv[1]), [Word(*row) for row in json.loads(Path(sys.argv[2]).read_text())])
    np.savez(sys.argv[3], samples=samples, ends=ends)
