"""Words that are alike in fourteen languages, spoken by one person in each, with other words and noise.

Sources:   data_dir (a folder per word with sounds; see `pipelines.sound.folders`), the prepared cache; the Debian
           package ktuberling-data, names of what KTuberling shows; pink noise is generated.
Features:  {"samples": int16 (16000,), one second at 16 kHz, "label": int64, "_group": the speaker, by the language}.
Splits:    speakers are in one split only: 70 % of the examples train, 15 % validate, 15 % test. Percentages are others.
           Classes are astronaut, oasis, planet, pyramid, radar, salami and sphinx as these languages say them,
           `_unknown_` (four nouns that they do not share) and `_silence_` (noise).
Licence:   GPL-2.0 or later (Albert Astals Cid, Éric Bischoff and the contributors of KTuberling).
"""

import os
import re
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.sound import folders, noise
from pipelines.sources.packages import Debian, PackageData

NAME = "spoken_words"
LANGUAGES = ("ca", "da", "de", "el", "en", "fr", "gl", "id", "lt", "nn", "ru", "sl", "uk", "wa")
WORDS = {
    "moon_astronaut": "astronaut",
    "egypt_oasis": "oasis",
    "moon_planet": "planet",
    "egypt_pyramid": "pyramid",
    "moon_radar": "radar",
    "pizzeria_salami": "salami",
    "egypt_sphynx": "sphinx",
    **dict.fromkeys(("eye", "flower", "hat", "umbrella"), "_unknown_"),
}
OTHER = "id/egypt_oasis_wahah"  # Indonesian: file names add the word where it is another one


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    about = {"licence": "GPL-2.0 or later", "homepage": "https://apps.kde.org/ktuberling"}
    return folders.load_packaged(NAME, RECORDINGS, data_dir, cache_dir, split, **about)


def _write(folder: Path, stage: Path) -> None:
    """Write the recordings as Speech Commands names them: WORD/SPEAKER_nohash_PICTURE.ogg."""
    for language in LANGUAGES:
        text = (folder / f"{language}.soundtheme").read_text(encoding="utf-8")
        files = dict(re.findall(r'<sound\s+name="(\w+)"\s+file="([\w./-]+)"', text))
        for picture, word in WORDS.items():
            if not (file := files[picture]).startswith(OTHER):
                (stage / word).mkdir(exist_ok=True)
                copy = stage / word / f"{language}_nohash_{picture}{Path(file).suffix}"
                copy.write_bytes((folder / file).read_bytes())
    noise.write(stage / folders.NOISE)


RECORDINGS = PackageData(
    NAME,
    "ktuberling",
    Debian("ktuberling-data", "/usr/share/ktuberling/sounds"),
    _write,
    Path,
    "apt-get install ktuberling-data",
)
