"""What Keras, torchvision, Ray Data and Daft make of every kind of image that `docs/images.md` speaks of.

Put here the runs behind the page's columns on peers. They need an environment of their own, with `keras tensorflow
torch torchvision ray[data] daft pillow`, and a process each, because TensorFlow and PyTorch do not share one:
`python -m fruit_assets_tests.benchmarks.image_kinds_peers "Ray Data"` prints a column.
"""

import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fruit_assets_tests.docs.image_kinds import COLOURS, pictures, ramps, unusable
from fruit_assets_tests.images.odd_images import picture

_PACKAGES = ("keras", "pillow", "torch", "torchvision", "ray", "daft")
# Mean difference in levels, up to which an image shows what a person expects: that of a JPEG or a palette.
_CLOSE = 12
_NEARLY_ONE_LEVEL = 24


def by_keras(path: Path) -> np.ndarray:
    from keras.utils import load_img

    return np.asarray(load_img(path))


def by_torchvision(path: Path) -> np.ndarray:
    import torch
    from torchvision.io import ImageReadMode, decode_image

    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    return _last_axis(decode_image(content, ImageReadMode.RGB).numpy())


def by_image_folder(path: Path) -> np.ndarray:
    """What `torchvision.datasets.ImageFolder` loads: PIL."""
    from torchvision.datasets.folder import default_loader

    return np.asarray(default_loader(str(path)))


def by_ray(path: Path) -> np.ndarray:
    import ray

    rows = ray.data.read_images(str(path), mode="RGB").take(1)
    return np.asarray(rows[0]["image"])


def by_daft(path: Path) -> np.ndarray:
    import daft
    from daft.functions import decode_image

    frame = daft.from_pydict({"content": [path.read_bytes()]})
    [image] = frame.select(decode_image(frame["content"])).to_pydict()["content"]
    return np.asarray(image)


_PEERS: dict[str, Callable[[Path], np.ndarray]] = {
    "Keras": by_keras,
    "torchvision": by_torchvision,
    "ImageFolder": by_image_folder,
    "Ray Data": by_ray,
    "Daft": by_daft,
}


def _last_axis(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels, -3, -1)


def outcome(pixels: np.ndarray, expected: np.ndarray | None) -> str:
    """In words what an array shows."""
    if pixels.ndim == 4:
        return f"{len(pixels)} frames"
    form = f"{pixels.dtype} {'x'.join(map(str, pixels.shape))}"
    levels = pixels.astype(np.float64)
    if pixels.dtype != np.uint8:
        return f"{pixels.dtype} values {levels.min():g} to {levels.max():g}"
    levels = levels[..., None] if levels.ndim == 2 else levels[..., :3]
    wanted = None if expected is None else expected[..., None] if expected.ndim == 2 else expected
    if wanted is not None and wanted.shape[:2] == levels.shape[:2]:
        difference = np.abs(levels.mean(axis=2) - wanted.mean(axis=2)).mean()
        if difference < _CLOSE:
            return f"shown ({form})"
    low, mean, high = levels.min(), levels.mean(), levels.max()
    if high - low < _NEARLY_ONE_LEVEL:
        return f"one level, {low:.0f} to {high:.0f} ({form})"
    return f"other: mean {mean:.0f}, {low:.0f} to {high:.0f} ({form})"


def main() -> None:
    """Print one line for each kind and peer."""
    print(", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    plain = np.asarray(picture())
    files: dict[str, tuple[bytes, np.ndarray | None]] = {**ramps()}
    files |= {name: (content, plain) for name, content in pictures().items()}
    files["16-bit colour PNG"] = files["16-bit colour PNG"][0], np.round(COLOURS * 255)
    files |= {name: (content, None) for name, content in unusable().items()}
    chosen = sys.argv[1:] or list(_PEERS)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (content, expected)) in enumerate(files.items()):
            path = Path(folder) / f"{number}.{_suffix(content)}"
            path.write_bytes(content)
            for peer in chosen:
                try:
                    shown = outcome(_PEERS[peer](path), expected)
                # A peer may raise whatever it likes: that is the finding.
                except Exception as error:
                    first = str(error).strip().splitlines()
                    shown = f"error: {type(error).__name__}: {(first[-1] if first else '')[:110]}"
                print(f"{name} | {peer} | {shown}", flush=True)


def _suffix(content: bytes) -> str:
    """What the file would be named; Ray Data reads files of known suffixes alone."""
    starts = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp", b"II*": "tiff", b"MM": "tiff"}
    found = next((suffix for start, suffix in starts.items() if content.startswith(start)), "jpg")
    return "avif" if content[4:12] == b"ftypavif" else found


if __name__ == "__main__":
    main()
