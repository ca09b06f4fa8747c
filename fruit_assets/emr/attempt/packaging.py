"""First-party packages as one zip, named by its content, shipped once per version.

Put here what is shipped and what never is. Third-party packages come from the cluster's bootstrap
action and do not belong here.
"""

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.staging import StagingStore

MAX_BYTES = 50 * 2**20

_FOLDERS_LEFT_OUT = {"__pycache__", "tests", "node_modules", "venv", "env"}
_SUFFIXES_LEFT_OUT = {".pyc", ".pyo", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".log", ".sqlite", ".db"}
_NAMES_LEFT_OUT = {"credentials", "id_rsa", "id_ed25519", "secrets.json", "secrets.yaml", "secrets.yml", "secrets.toml"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the bytes depend on the content alone


@dataclass(frozen=True)
class Package:
    """One zip of one or more packages; `sha256` names it."""

    names: tuple[str, ...]
    content: bytes
    sha256: str

    @property
    def object_name(self) -> str:
        return f"code/{self.sha256}.zip"


def build_package(names: Sequence[str]) -> Package:
    """Zip importable packages; equal content gives equal bytes, on any machine.

    Args:
        names: import names of top-level packages.

    Raises:
        PermanentError: a package cannot be found, or the zip is so large that something strange lies in it.
    """
    roots = sorted({name.split(".")[0] for name in names})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for root in roots:
            for path, name in _files(root):
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, path.read_bytes())
    content = buffer.getvalue()
    if len(content) > MAX_BYTES:
        raise PermanentError(
            f"The packages {', '.join(roots)} make a zip of {len(content) / 2**20:.0f} MiB; the limit is "
            f"{MAX_BYTES // 2**20}. Move data files out of the package."
        )
    return Package(tuple(roots), content, hashlib.sha256(content).hexdigest())


def ship(package: Package, staging: StagingStore) -> str:
    """Upload the package unless this very content is there already; returns its `s3://` URI."""
    if staging.age(package.object_name) is None:
        staging.put(package.object_name, package.content)
    return staging.uri_of(package.object_name)


def _files(root: str) -> Iterator[tuple[Path, str]]:
    spec = importlib.util.find_spec(root)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise PermanentError(f"No package {root!r} can be imported here, so none can be shipped to the cluster.")
    folder = Path(folders[0])
    found = (path for path in folder.rglob("*") if path.is_file() and _belongs(path.relative_to(folder)))
    for path in sorted(found, key=lambda path: path.relative_to(folder).as_posix()):
        yield path, f"{root}/{path.relative_to(folder).as_posix()}"


def _belongs(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    left_out = any(part in _FOLDERS_LEFT_OUT for part in path.parts[:-1])
    return not (hidden or left_out or path.suffix in _SUFFIXES_LEFT_OUT or path.name.lower() in _NAMES_LEFT_OUT)
