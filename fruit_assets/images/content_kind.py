"""What a file is, by its first bytes.

Put here the signatures of file formats and the names that people know them by. Whether the rest of an image file is
sound belongs in `decoding.py`, which files are listed in `listing.py`.
"""

import re
from dataclasses import dataclass

# Enough for every signature here.
HEAD_BYTES = 512
# Formats that are decoded, under any suffix. Not all that PIL knows: it would hand PostScript to Ghostscript,
# to be run.
DECODED_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")


@dataclass(frozen=True)
class ContentKind:
    """What the first bytes of a file are.

    Attributes:
        name: for people, such as `JPEG`, `HEIC image` or `HTML page`.
        image: it is an image, of a format that is decoded or of another one.
        advice: what to do about it, where that is known.
    """

    name: str
    image: bool = False
    advice: str = ""

    @property
    def decoded(self) -> bool:
        """Whether it is an image of a format that is decoded."""
        return self.name in DECODED_FORMATS


_EMPTY = ContentKind("empty file")
_UNKNOWN = ContentKind("file of an unknown kind")
_ZEROS = ContentKind("file of zeros", advice="the copy was interrupted, copy it again")
_TEXT = ContentKind("text file")
_CONVERT = "convert it to JPEG or PNG"


def _format(name: str) -> ContentKind:
    return ContentKind(name, image=True)


def _other_image(name: str) -> ContentKind:
    return ContentKind(f"{name} image", image=True, advice=_CONVERT)


# The first that matches at the start of the file counts.
_SIGNATURES: tuple[tuple[bytes, ContentKind], ...] = (
    (rb"\xff\xd8\xff", _format("JPEG")),
    (rb"\x89PNG\r\n\x1a\n", _format("PNG")),
    (rb"GIF8[79]a", _format("GIF")),
    (rb"BM.{12}[\x0c-\x80]\0\0\0", _format("BMP")),
    (rb"RIFF.{4}WEBP", _format("WEBP")),
    (rb"(II\*\0|MM\0\*).{4}CR\x02\0", _other_image("Canon raw")),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", _format("TIFF")),
    (rb".{4}ftyp(.{4}){0,8}?(avif|avis)", _format("AVIF")),
    (rb".{4}ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)", _other_image("HEIC")),
    (rb".{4}ftypcrx ", _other_image("Canon raw")),
    (rb".{4}ftyp", ContentKind("video")),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _other_image("JPEG 2000")),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _other_image("JPEG XL")),
    (rb"II\xbc", _other_image("JPEG XR")),
    (rb"IIRO|IIRS|IIU\0|FUJIFILMCCD-RAW|FOVb", _other_image("camera raw")),
    (rb"8BPS", _other_image("Photoshop")),
    (rb"gimp xcf", _other_image("GIMP")),
    (rb"P[1-7][\s#]|P[Ff]\s", _other_image("PNM")),
    (rb"\0\0[\x01\x02]\0[^\0]\0", _other_image("icon")),
    (rb"v/1\x01", _other_image("OpenEXR")),
    (rb"#\?(RADIANCE|RGBE)", _other_image("Radiance HDR")),
    (rb"SIMPLE  =", _other_image("FITS")),
    (rb"DDS ", _other_image("DirectDraw")),
    (rb"qoif", _other_image("QOI")),
    (rb"BPG\xfb", _other_image("BPG")),
    (rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", _other_image("Windows metafile")),
    (rb"icns", _other_image("Apple icon")),
    (rb".{128}DICM", _other_image("DICOM")),
    (rb"%!PS|\xc5\xd0\xd3\xc6", _other_image("PostScript")),
    (rb"%PDF-", ContentKind("PDF document", advice="take the images out of it")),
    (rb"version https://git-lfs", ContentKind("Git-LFS pointer", advice="fetch the files themselves: git lfs pull")),
    (rb"/annex/objects/|\.\./.*/annex/objects/", ContentKind("git-annex pointer", advice="run git annex get")),
    (rb"PK\x03\x04|PK\x05\x06", ContentKind("ZIP archive", advice="unpack it")),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", ContentKind("compressed file", advice="unpack it")),
    (rb"Rar!\x1a|7z\xbc\xaf|.{257}ustar", ContentKind("archive", advice="unpack it")),
    (rb"\x93NUMPY", ContentKind("NumPy array")),
    (rb"PAR1", ContentKind("Parquet file")),
    (rb"\x89HDF", ContentKind("HDF5 file")),
    (rb"SQLite format 3", ContentKind("SQLite database")),
    (rb"\x7fELF|MZ|\xca\xfe\xba\xbe", ContentKind("program")),
    (rb"RIFF.{4}(AVI |WAVE)|\x1a\x45\xdf\xa3|\0\0\x01[\xba\xb3]|OggS", ContentKind("video or sound")),
    (rb"ID3|fLaC", ContentKind("sound")),
    (rb"\xd0\xcf\x11\xe0", ContentKind("Office document")),
    (rb"\0\x05\x16[\0\x07]", ContentKind("macOS metadata file")),
)  # fmt: skip
# Of text, after a byte order mark and white space.
_TEXTS: tuple[tuple[bytes, ContentKind], ...] = (
    (rb"(?i)<!doctype html|<html|<head|<body", ContentKind("HTML page", advice="the address it was fetched from "
                                                           "answered with a page, such as an error or a login")),
    (rb"(?is)(<\?xml.{,400}|<!--.{,400}|)(<svg|<!doctype svg)", _other_image("SVG")),
    (rb"(?s)(<\?xml[^>]*>\s*)?<Error>", ContentKind("XML error message", advice="the store answered with an error")),
    (rb"<\?xml|<[A-Za-z][\w:.-]*[\s/>]", ContentKind("XML text")),
    (rb"[{\[]\s*([\"{\[\]}\d-]|true|false|null)", ContentKind("JSON text")),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _SIGNATURES)
_COMPILED_TEXTS = tuple((re.compile(pattern), kind) for pattern, kind in _TEXTS)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def content_kind(head: bytes) -> ContentKind:
    """What a file is, by its first bytes.

    Args:
        head: `HEAD_BYTES` from its start, or all of a shorter file.
    """
    head = head[:HEAD_BYTES]
    if not head.strip(b"\0"):
        return _ZEROS if head else _EMPTY
    for pattern, kind in _COMPILED:
        if pattern.match(head):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, kind in _COMPILED_TEXTS:
        if pattern.match(text):
            return kind
    return _UNKNOWN if _CONTROL.search(head) or not _is_utf8(head) else _TEXT


def _is_utf8(head: bytes) -> bool:
    try:
        # The last character may be cut.
        head[: max(1, len(head) - 3)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
