"""Names of letters, spoken by one person in each of fourteen languages, with other letters and noise.

Sources:   data_dir (a folder per word with sounds; see `pipelines.sound.folders`), the prepared cache; the Debian
           package klettres-data, recordings of KLettres; pink noise is generated.
Features:  {"samples": int16 (16000,), one second at 16 kHz, "label": int64, "_group": the speaker, by the language}.
Splits:    speakers are in one split only: 70 % of the examples train, 15 % validate, 15 % test. Percentages are others.
           Classes are ten letters whose names are alike in these languages, `_unknown_` (four other letters) and
           `_silence_` (noise).
Licence:   GPL-2.0 or later (Anne-Marie Mahfouf and the contributors of KLettres).
"""

import dataclasses
import os
import re
import wave
from pathlib import Path

import numpy as np

from pipelines.dataset import Dataset
from pipelines.sound import folders
from pipelines.sources.packages import Debian, PackageData

NAME = "spoken_letters"
LANGUAGES = ("cs", "da", "de", "en", "en_GB", "es", "fr", "hu", "it", "lt", "nb", "nds", "nl", "pt_BR")
LETTERS, OTHERS = "BDFKLMNOST", "HRWY"
KLETTRES = Debian("klettres-data", "/usr/share/klettres")
NOISE = 60  # seconds


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        return folders.load(NAME, data_dir, split)
    source, folder = RECORDINGS.load(cache_dir)
    sounds = folders.load(NAME, folder, split)
    info = dataclasses.replace(
        sounds.info, source=source, licence="GPL-2.0 or later", homepage="https://apps.kde.org/klettres"
    )
    return dataclasses.replace(sounds, info=info)


def _write(folder: Path, stage: Path) -> None:
    """Write the recordings as Speech Commands names them: WORD/SPEAKER_nohash_LETTER.ogg."""
    for language in LANGUAGES:
        text = (folder / language / "sounds.xml").read_text(encoding="utf-8")
        for letter, file in re.findall(r'<sound\s+name="(\w)"\s+file="(\w+/alpha/[\w.-]+)"', text):
            if (letter := letter.upper()) in LETTERS + OTHERS:
                word = letter if letter in LETTERS else "_unknown_"
                (stage / word).mkdir(exist_ok=True)
                (stage / word / f"{language}_nohash_{letter}.ogg").write_bytes((folder / file).read_bytes())
    write_noise(stage)


def write_noise(stage: Path) -> None:
    """Write a minute of pink noise where Speech Commands has its noise."""
    (stage / folders.NOISE).mkdir()
    with wave.open(str(stage / folders.NOISE / "pink.wav"), "wb") as file:
        file.setparams((1, 2, folders.RATE, 0, "NONE", ""))
        file.writeframes(folders.to_int16(_pink(NOISE * folders.RATE)).tobytes())


def _pink(count: int) -> np.ndarray:
    """Return noise with equal power in each octave, float32, louder in some seconds than in others."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(count)) / np.sqrt(np.arange(count // 2 + 1) + 1)
    noise = np.fft.irfft(spectrum, count)
    loudness = np.repeat(10 ** random.uniform(-3, -1, count // folders.RATE), folders.RATE)
    return (noise / noise.std() * loudness).astype(np.float32)


RECORDINGS = PackageData(NAME, "klettres", KLETTRES, _write, Path, "apt-get install klettres-data")
