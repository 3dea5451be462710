"""Words spoken by synthesisers, in a process of its own.

eSpeak NG (github.com/espeak-ng/espeak-ng) computes formants, in many voices; Flite (cmuflite.org) has a few voices that
were made from recordings of people. The process is new for each call of `speak`, because the libraries keep state from
one word to the next: the same words in the same order are the same samples. Its program is this file, which imports
nothing of this project.
"""

import ctypes
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATES = {"espeak": 22_050, "flite": 16_000}
ESPEAK_LIBRARIES = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")
FLITE_LIBRARIES = ("libflite.so.1", "libflite_cmulex.so.1", "libflite_usenglish.so.1")
UNEQUAL = ("Alicia", "Demonic", "f2")  # voices of eSpeak NG with noise that differs from one process to the next
USUAL_SPEED = 175  # words a minute
SECONDS = 600.0  # for which the process may run
_SYNCHRONOUS, _UTF8, _OK = 2, 1, 0
_SPEED, _PITCH, _RANGE = 1, 3, 4  # numbers of parameters of eSpeak NG


class Word(NamedTuple):
    """A word and how it is spoken."""

    text: str
    # of eSpeak NG a language and perhaps one of the `variants`, such as "en-us+Annie"; of Flite such as "rms"
    voice: str
    speed: int = USUAL_SPEED  # words a minute, from 80 to 450
    pitch: int = 50  # from 0 to 99; 50 is usual
    range: int = 50  # change of the pitch in a word, from 0 to 99; Flite has its own


def variants(folder: Path) -> list[str]:
    """Return the names of voices of eSpeak NG, in its folder, whose samples are the same in every process."""
    return sorted({path.name for path in (folder / "espeak-ng-data" / "voices" / "!v").iterdir()} - {*UNEQUAL})


def speak(words: Sequence[Word], synthesiser: str, folder: Path) -> list[np.ndarray]:
    """Return the samples of words, int16 (N,) each, at the rate of `RATES`; the synthesiser is "espeak" or "flite"."""
    import tempfile  # here, because the process needs none of these

    from pipelines.sources import packages

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "words.json").write_text(json.dumps(words))
        command = [sys.executable, "-P", __file__, synthesiser, str(folder.absolute()), "words.json", "samples.npz"]
        packages.run(command, cwd=Path(name), seconds=SECONDS)
        with np.load(Path(name) / "samples.npz", allow_pickle=False) as arrays:
            return np.split(arrays["samples"], arrays["ends"][:-1])


def _espeak(folder: Path, words: Sequence[Word]) -> Iterator[np.ndarray]:
    files = [folder / name for name in ESPEAK_LIBRARIES if (folder / name).is_file()]
    if not files:
        raise SystemExit(f"there is no library of eSpeak NG in {folder}")
    library = ctypes.CDLL(str(files[0]))
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(folder).encode(), 0) != RATES["espeak"]:
        raise SystemExit("eSpeak NG has no voices, or another rate")
    parts: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples: ctypes._Pointer, count: int, events: int) -> int:
        if samples and count:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(collect)
    for word in words:
        if library.espeak_SetVoiceByName(word.voice.encode()) != _OK:
            raise SystemExit(f"eSpeak NG has no voice {word.voice}")
        for number, value in ((_SPEED, word.speed), (_PITCH, word.pitch), (_RANGE, word.range)):
            library.espeak_SetParameter(number, value, 0)
        text = word.text.encode() + b"\0"
        if library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None) != _OK:
            raise SystemExit(f"eSpeak NG cannot speak {word.text!r}")
        yield np.concatenate(parts)
        parts.clear()


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("rate", ctypes.c_int),
        ("count", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


def _flite(folder: Path, words: Sequence[Word]) -> Iterator[np.ndarray]:
    def load(name: str) -> ctypes.CDLL:
        return ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)

    if (folder / "libasound.so.2").exists():  # without root it is not where the loader looks
        load("libasound.so.2")
    library, *_ = [load(name) for name in FLITE_LIBRARIES]
    library.flite_init()
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Voice)]
    library.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
    library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
    voices = {}
    for name in sorted({word.voice for word in words}):
        register = getattr(load(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = ctypes.POINTER(_Voice), [ctypes.c_void_p]
        voices[name] = register(None)
    for word in words:
        voice = voices[word.voice]
        library.feat_set_float(voice.contents.features, b"duration_stretch", USUAL_SPEED / word.speed)
        library.feat_set_float(voice.contents.features, b"int_f0_target_mean", 60 + 2.0 * word.pitch)
        wave = library.flite_text_to_wave(word.text.encode(), voice)
        yield np.ctypeslib.as_array(wave.contents.samples, (wave.contents.count,)).copy()
        library.delete_wave(wave)


SYNTHESISERS: dict[str, Callable[[Path, Sequence[Word]], Iterator[np.ndarray]]] = {"espeak": _espeak, "flite": _flite}

if __name__ == "__main__":
    _, chosen, place, source, target = sys.argv
    spoken = list(SYNTHESISERS[chosen](Path(place), [Word(*row) for row in json.loads(Path(source).read_text())]))
    np.savez(target, samples=np.concatenate(spoken), ends=np.cumsum([len(samples) for samples in spoken]))
