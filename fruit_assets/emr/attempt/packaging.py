"""The packages to ship as one zip, named by its content, uploaded once per version.

Put here what is shipped and what is left out. Third-party packages come from the node's environment and
do not belong here. Whether the packages are complete is `imports.py`.
"""

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.staging import StagingStore

MAX_BYTES = 50 * 2**20

_GENERATED = {"__pycache__", "node_modules"}  # generated files: left out without being reported
_KEY_SUFFIXES = {".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"}
_KEY_NAMES = {"credentials", "id_rsa", "id_ed25519", "secrets.json", "secrets.yaml", "secrets.yml", "secrets.toml"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold, for all files: equal content gives equal bytes


@dataclass(frozen=True)
class Package:
    """One zip of one or more packages.

    Attributes:
        names: import names of the packages.
        content: the zip.
        sha256: names the zip.
        files: names within the zip.
        left_out: files of the packages that are not in it.
    """

    names: tuple[str, ...]
    content: bytes
    sha256: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def object_name(self) -> str:
        return f"code/{self.sha256}.zip"


def build_package(names: Sequence[str], exclude: Sequence[str] = ()) -> Package:
    """Zip importable packages; equal content gives equal bytes, on any machine.

    Args:
        names: import names. A sub-package such as `a.b` is shipped without the rest of `a`.
        exclude: patterns of files to leave out, such as `orchard/data/*.csv` or `*/tests/*`.

    Raises:
        PermanentError: a package cannot be found, or the zip is larger than `MAX_BYTES`.
    """
    roots = [name for name in sorted(set(names)) if not any(name.startswith(f"{other}.") for other in names)]
    chosen: dict[str, bytes] = {}
    left_out: list[str] = []
    for root in roots:
        for parent in _parents(root):
            chosen.setdefault(parent, b"")  # empty: makes the sub-package importable
        for path, name in _files(root):
            if _is_key(path) or any(fnmatch(name, pattern) for pattern in exclude):
                left_out.append(name)
            else:
                chosen[name] = path.read_bytes()
    content = _zip(chosen)
    if len(content) > MAX_BYTES:
        raise PermanentError(
            f"The packages {', '.join(roots)} make a zip of {len(content) / 2**20:.0f} MiB; the limit is "
            f"{MAX_BYTES // 2**20}. Move data files out of the package, or leave them out with `exclude`."
        )
    files = tuple(sorted(chosen))
    return Package(tuple(roots), content, hashlib.sha256(content).hexdigest(), files, tuple(sorted(left_out)))


def ship(package: Package, staging: StagingStore) -> tuple[str, bool]:
    """Upload the package unless this content was uploaded before; its `s3://` URI, and whether it was uploaded."""
    is_new = staging.age(package.object_name) is None
    if is_new:
        staging.put(package.object_name, package.content)
    return staging.uri_of(package.object_name), is_new


def folder_of(package: str) -> Path:
    """The folder that a package is imported from.

    Raises:
        PermanentError: there is no such package.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise PermanentError(f"No package {package!r} can be imported here, so none can be shipped.")
    return Path(folders[0])


def _zip(chosen: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(chosen):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, chosen[name])
    return buffer.getvalue()


def _parents(package: str) -> Iterator[str]:
    parts = package.split(".")
    for depth in range(1, len(parts)):
        yield "/".join([*parts[:depth], "__init__.py"])


def _files(package: str) -> Iterator[tuple[Path, str]]:
    folder = folder_of(package)
    environments = {path.parent for path in folder.rglob("pyvenv.cfg")}
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        parts = path.relative_to(folder).parts
        is_generated = any(part in _GENERATED or part.startswith(".") for part in parts) or path.suffix == ".pyc"
        if path.is_file() and not is_generated and not environments.intersection(path.parents):
            yield path, f"{package.replace('.', '/')}/{'/'.join(parts)}"


def _is_key(path: Path) -> bool:
    return path.suffix in _KEY_SUFFIXES or path.name.lower() in _KEY_NAMES
