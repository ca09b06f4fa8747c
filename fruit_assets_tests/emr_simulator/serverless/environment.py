"""A packed environment that takes no time: a virtual environment's frame around the packages of this one.

Put here what stands in for the archive that `fruit-assets deploy` builds from wheels.
"""

import functools
import io
import site
import sys
import tarfile
from pathlib import Path


@functools.cache
def light_environment(*folders: str) -> bytes:
    """A `tar.gz` with this interpreter's packages and those in further folders, and without this checkout."""
    base = Path(sys.executable).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    files = {
        "pyvenv.cfg": f"home = {base.parent}\ninclude-system-site-packages = false\n",
        # Python does not read .pth files in folders that a .pth file names: the editable install stays out.
        f"lib/{version}/site-packages/packages.pth": "\n".join([*site.getsitepackages(), *folders]) + "\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, str(base)
        archive.addfile(link)
    return buffer.getvalue()
