"""Folders of sounds, one per word, in the layout of Speech Commands (Warden 2018, arXiv:1804.03209).

Examples are {"samples": int16 (16000,), one second at 16 kHz, "label": int64}. A folder `_background_noise_` holds
longer recordings: each whole second of them is an example of the class `_silence_`. The files `validation_list.txt` and
`testing_list.txt` are the official split. Without them the recordings of a speaker, whose id is before `_nohash_` in
the names of the files, are in one split; files with other names are divided by their contents.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sound import reading
from pipelines.sound.frames import loudest
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

    from pipelines.sources.packages import PackageData

RATE = LENGTH = 16_000  # samples of a second, and of an example
NOISE, SILENCE = "_background_noise_", "_silence_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
SPEAKER = splits.Grouping("name", "([^/]+)_nohash_")
MAX_SKIPPED = 0.1  # largest fraction of files that cannot be read
SHARES = (70, 15, 15)

Rows = dict[str, list[tuple[Path, str]]]  # split -> (file, word)


def load(name: str, data_dir: str | os.PathLike, split: str) -> Dataset:
    """Read a folder of sounds, one sub-folder a word; `split` is "official", percentages, perhaps " by name REGEX"."""
    shares, grouping = splits.grouping(split, ("name",))
    policy = splits.percentages(shares)
    root = Path(data_dir).expanduser().absolute()
    digests, skipped = _check(root, _find(root))
    rows = _divide(root, digests, policy, grouping, skipped)
    noise, recordings = _noise(root / NOISE, policy or SHARES)
    words = sorted({path.parent.name for path in digests} | ({SILENCE} if noise["train"].size else set()))
    for part, of_part in rows.items():
        if not of_part:
            raise DataError(f"no sounds remain for {part} in {root}: add some to each word", USAGE)
    if missing := {*words} - {SILENCE} - {word for _, word in rows["train"]}:
        raise DataError(f"no sound of the word {min(missing)!r} in {root} is for training: add some", USAGE)
    text = "\n".join(f"{part} {word} {digests[path]}" for part, of_part in rows.items() for path, word in of_part)
    info = Info(
        name=name,
        source=f"your own sounds in {root}",
        licence=OWN,
        homepage=str(root),
        features={"samples": "int16 (16000,) at 16 kHz", "label": "int64"},
        counts={part: len(of_part) + len(noise[part]) for part, of_part in rows.items()},
        class_names=tuple(words),
        sha256={"sounds": hashlib.sha256(text.encode()).hexdigest()},
        split=split,
        skipped=skipped,
    )
    sounds = Dataset(**{part: _examples(of_part, words, noise[part]) for part, of_part in rows.items()}, info=info)
    names = {path: path.relative_to(root).as_posix() for path in digests}
    if grouping is None and all("_nohash_" in name for name in names.values()):
        grouping = SPEAKER
    if grouping is None:
        return sounds
    groups = {
        part: [grouping.of_file(names[path]) for path, _ in of_part] + recordings[part]
        for part, of_part in rows.items()
    }
    return splits.with_groups(sounds, groups, "speaker" if grouping is SPEAKER else splits.kept_together(split))


def load_packaged(
    name: str,
    recordings: PackageData[Path],
    data_dir: str | os.PathLike | None,
    cache_dir: str | os.PathLike | None,
    split: str,
    *,
    licence: str,
    homepage: str,
) -> Dataset:
    """Read a folder of the user or, without one, the recordings of a package, which is written as such a folder."""
    if data_dir is not None:
        return load(name, data_dir, split)
    source, folder = recordings.load(cache_dir)
    sounds = load(name, folder, split)
    info = dataclasses.replace(sounds.info, source=source, licence=licence, homepage=homepage)
    return dataclasses.replace(sounds, info=info)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Return samples of [-1, 1] as int16; those of a WAV file of 16 bits as they are in the file."""
    return np.clip(np.round(samples * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)


def _find(root: Path) -> list[Path]:
    """Return the files of all words, sorted."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: --data-dir needs one sub-folder of sounds per word", MISSING)
    files = [path for path in sorted(root.glob("*/*")) if path.is_file() and not path.name.startswith(".")]
    files = [path for path in files if not path.parent.name.startswith((".", NOISE))]
    if len({path.parent for path in files}) < 2:
        raise DataError(f"{root} has no sounds of two words: give it a sub-folder for each word", USAGE)
    return files


def _check(root: Path, files: Sequence[Path]) -> tuple[dict[Path, str], dict[str, str]]:
    """Return the digests of the files that are sounds of one word, and why others are skipped."""
    digests: dict[Path, str] = {}
    skipped: dict[str, str] = {}
    words: dict[str, set[str]] = {}
    for path in files:
        storage.check_name(path)
        try:
            reading.check(path)
        except DataError as error:
            skipped[str(path.relative_to(root))] = str(error)
            continue
        digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        words.setdefault(digests[path], set()).add(path.parent.name)
    if len(skipped) > MAX_SKIPPED * len(files):
        file, problem = next(iter(skipped.items()))
        raise DataError(f"{len(skipped)} of {len(files)} files in {root} are no sounds, such as {file} ({problem})")
    for path in [path for path, digest in digests.items() if len(words[digest]) > 1]:
        skipped[str(path.relative_to(root))] = f"the same sound is in {' and '.join(sorted(words[digests.pop(path)]))}"
    if skipped:
        storage.log.info("%s: %d of %d files are skipped", root, len(skipped), len(files))
    return digests, skipped


def _divide(
    root: Path,
    digests: dict[Path, str],
    policy: tuple[int, int, int] | None,
    grouping: splits.Grouping | None,
    skipped: dict[str, str],
) -> Rows:
    names = {path: path.relative_to(root).as_posix() for path in digests}
    if policy is None and grouping is None and all((root / file).is_file() for file in LISTS.values()):
        part_of = {line: part for part, file in LISTS.items() for line in (root / file).read_text().split()}
        rows: Rows = {part: [] for part in ("train", *LISTS)}
        for path in digests:
            rows[part_of.get(names[path], "train")].append((path, path.parent.name))
    else:
        from pipelines.images import stratified_split  # here, because these import TensorFlow
        from pipelines.images.index import ImageFile

        if grouping is None and all("_nohash_" in name for name in names.values()):
            grouping = SPEAKER
        files: stratified_split.FilesByClass = {"": {}}
        for path, digest in digests.items():  # of a file only its path and digest matter
            files[""].setdefault(path.parent.name, []).append(ImageFile(path, digest, ""))
        parts = stratified_split.divide(root, files, policy or SHARES, skipped, grouping)
        rows = {part: [(file.path, word) for word, file in of_part] for part, of_part in parts.items()}
    return {part: sorted(of_part, key=lambda row: (digests[row[0]], row[0])) for part, of_part in rows.items()}


def _noise(folder: Path, shares: tuple[int, int, int]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Return the seconds of long recordings by split, int16 (N, 16000) each, in order, and the recording of each."""
    parts: dict[str, list] = {part: [np.zeros((0, LENGTH), np.int16)] for part in ("train", *LISTS)}
    names: dict[str, list[str]] = {part: [] for part in parts}
    for path in sorted(folder.glob("*.*")):
        if path.suffix.lower() in reading.SUFFIXES:
            samples = to_int16(reading.read(path, RATE))
            seconds = samples[: len(samples) // LENGTH * LENGTH].reshape(-1, LENGTH)
            cuts = [len(seconds) * end // 100 for end in (shares[0], shares[0] + shares[1])]
            for part, piece in zip(parts, np.split(seconds, cuts), strict=True):
                parts[part].append(piece)
                names[part] += [path.name] * len(piece)
    return {part: np.concatenate(pieces) for part, pieces in parts.items()}, names


def _examples(rows: Sequence[tuple[Path, str]], words: Sequence[str], noise: np.ndarray) -> tf.data.Dataset:
    import tensorflow as tf

    def example(path: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        samples = tf.numpy_function(_read, [path], tf.int16, stateful=False)
        return {"samples": tf.ensure_shape(samples, [LENGTH]), "label": label}

    paths = tf.constant(np.array([str(path) for path, _ in rows], object))
    labels = tf.constant([words.index(word) for _, word in rows], tf.int64)
    examples = tf.data.Dataset.from_tensor_slices((paths, labels)).map(example, tf.data.AUTOTUNE, deterministic=True)
    if not len(noise):
        return examples
    silent = {"samples": noise, "label": np.full(len(noise), words.index(SILENCE))}
    return examples.concatenate(tf.data.Dataset.from_tensor_slices(silent))


def _read(path: bytes) -> np.ndarray:
    return to_int16(loudest(reading.read(path.decode(), RATE), LENGTH))
