"""Names of letters, spoken by one person in each of fourteen languages, with other letters and noise.

Sources:   data_dir (a folder per word with sounds; see `pipelines.sound.folders`), the prepared cache; the Debian
           package klettres-data, recordings of KLettres; pink noise is generated.
Features:  {"samples": int16 (16000,), one second at 16 kHz, "label": int64, "_group": the speaker, by the language}.
Splits:    speakers are in one split only: 70 % of the examples train, 15 % validate, 15 % test. Percentages are others.
           Classes are ten letters whose names are alike in these languages, `_unknown_` (four other letters) and
           `_silence_` (noise).
Licence:   GPL-2.0 or later (Anne-Marie Mahfouf and the contributors of KLettres).
"""

import os
import re
from pathlib import Path

from pipelines.dataset import Dataset
from pipelines.sound import folders, noise
from pipelines.sources.packages import Debian, PackageData

NAME = "spoken_letters"
LANGUAGES = ("cs", "da", "de", "en", "en_GB", "es", "fr", "hu", "it", "lt", "nb", "nds", "nl", "pt_BR")
LETTERS, OTHERS = "BDFKLMNOST", "HRWY"
KLETTRES = Debian("klettres-data", "/usr/share/klettres")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    about = {"licence": "GPL-2.0 or later", "homepage": "https://apps.kde.org/klettres"}
    return folders.load_packaged(NAME, RECORDINGS, data_dir, cache_dir, split, **about)


def _write(folder: Path, stage: Path) -> None:
    """Write the recordings as Speech Commands names them: WORD/SPEAKER_nohash_LETTER.ogg."""
    for language in LANGUAGES:
        text = (folder / language / "sounds.xml").read_text(encoding="utf-8")
        for letter, file in re.findall(r'<sound\s+name="(\w)"\s+file="(\w+/alpha/[\w.-]+)"', text):
            if (letter := letter.upper()) in LETTERS + OTHERS:
                word = letter if letter in LETTERS else "_unknown_"
                (stage / word).mkdir(exist_ok=True)
                (stage / word / f"{language}_nohash_{letter}.ogg").write_bytes((folder / file).read_bytes())
    noise.write(stage / folders.NOISE)


RECORDINGS = PackageData(NAME, "klettres", KLETTRES, _write, Path, "apt-get install klettres-data")
