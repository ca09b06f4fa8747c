"""Why a file cannot be used as an image, in words for people, and which faults leave its pixels whole.

Put here what is wrong with files. Telling kinds of files apart belongs in `content_kind.py`.
"""

import io
import re
import struct
import zlib
from typing import Any

from fruit_assets.images.content_kind import ContentKind, content_kind

_LONGEST = 200
_START_OF_JPEG, _END_OF_JPEG = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_PNG = b"\x89PNG\r\n\x1a\n"
# What the pixels of a PNG need, and what of the rest says something about them.
_PNG_PIXELS, _PNG_WANTED = (b"IHDR", b"PLTE", b"IDAT", b"IEND"), (b"tRNS", b"eXIf")
# What PIL raises for a good file of a kind that it has no decoder for; an integer is a TIFF's compression.
_UNSUPPORTED = re.compile(
    r"unknown (pixel mode|data organization)|cannot handle|samples per pixel|unsupported|not (yet )?supported|^\d+$"
)
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_COLOURS, _TIFF_FORMAT, _TIFF_OFFSETS, _TIFF_SIZES = 258, 259, 262, 339, 273, 279
_COLOURS = {0: "grey (white is zero)", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_NUMBERS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}


class UnreadableImage(Exception):
    """These bytes are no image we can use; the message is the reason shown to people.

    What stands before the first colon is the cause, which many images may share.
    """


def reason_for_kind(kind: ContentKind) -> str:
    """Why a file of a kind that is not decoded cannot be used."""
    advice = f": {kind.advice}" if kind.advice else ""
    if kind.image:
        return f"unsupported {kind.name}{advice}"
    article = "an" if re.match(r"[aeioAEIO]|HTML|XML", kind.name) else "a"
    return f"not an image but {article} {kind.name}{advice}"


def reason_for(content: bytes, error: Exception) -> str:
    """Why an image cannot be decoded: unsupported, truncated or damaged, and the decoder's words.

    Args:
        content: bytes of a file whose first ones are those of a format that is decoded.
        error: what the decoder raised.
    """
    name = content_kind(content).name
    message = str(error).strip("'") or type(error).__name__
    truncated = is_truncated(content)
    if not truncated and _UNSUPPORTED.search(message):
        detail = _tiff_description(content) if name == "TIFF" else message
        return f"unsupported {name} image: {detail}"[:_LONGEST]
    if truncated:
        return f"truncated {name} image: its end is missing"
    return f"damaged {name} image: {message}"[:_LONGEST]


def is_truncated(content: bytes) -> bool:
    """Whether a file of a format that is decoded lacks its end, or says that it is longer than it is."""
    name = content_kind(content).name
    # Some programs fill the end of a file up.
    end = content[-4096:].rstrip(b"\0\r\n ")
    if name == "JPEG":
        return _END_OF_JPEG not in end[-64:]
    if name == "PNG":
        return b"IEND" not in content[-4096:]
    if name == "GIF":
        return not end.endswith(b";")
    try:
        return _declared_length(name, content) > len(content)
    except (struct.error, IndexError):
        return True


def _declared_length(name: str, content: bytes) -> int:
    if name == "WEBP":
        return 8 + int(struct.unpack_from("<I", content, 4)[0])
    if name == "BMP":
        size, width, height, bits, compression = struct.unpack_from("<10xI4xii2xHI", content)
        return int(size + abs(height) * ((abs(width) * bits + 31) // 32 * 4)) if compression == 0 else 0
    if name == "AVIF":
        position = 0
        while position < len(content):
            length = struct.unpack_from(">I", content, position)[0]
            # 0 is "to the end", 1 that the length has 64 bits.
            position += struct.unpack_from(">Q", content, position + 8)[0] if length == 1 else length or len(content)
        return position
    tags = _tiff_tags(content)
    pieces = zip(_numbers(tags.get(_TIFF_OFFSETS)), _numbers(tags.get(_TIFF_SIZES)), strict=False)
    return max((offset + size for offset, size in pieces), default=0)


def _tiff_tags(content: bytes) -> dict[int, Any]:
    """The first directory of a TIFF.

    Raises:
        struct.error: the file ends before it.
    """
    from PIL import TiffImagePlugin

    try:
        file = io.BytesIO(content)
        directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8) + (file.read(8) if content[2] == 43 else b""))
        file.seek(directory.next)
        directory.load(file)
        return dict(directory)
    # PIL's parser raises whatever it runs into.
    except Exception as error:
        raise struct.error(str(error)) from error


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) if isinstance(value, int) else ()


def _tiff_description(content: bytes) -> str:
    tags = _tiff_tags(content)
    bits = _numbers(tags.get(_TIFF_BITS)) or (1,)
    number = _NUMBERS.get((_numbers(tags.get(_TIFF_FORMAT)) or (1,))[0], "")
    colours = _COLOURS.get(tags.get(_TIFF_COLOURS, 1), f"colours {tags.get(_TIFF_COLOURS)}")
    widths = "/".join(str(width) for width in sorted(set(bits)))
    return f"{colours}, {len(bits)} {number}sample(s) of {widths} bits, compression {tags.get(_TIFF_COMPRESSION, 1)}"


def repaired(content: bytes, error: Exception, *, tolerate_truncated: bool) -> bytes | None:
    """The file without a fault that leaves its pixels whole; None when there is none.

    Args:
        content: bytes of a file that could not be decoded.
        error: what the decoder raised.
        tolerate_truncated: a JPEG that lacks its end is given one; libjpeg makes the missing rows grey.
    """
    if content.startswith(_START_OF_PNG):
        return _bare_png(content)
    if tolerate_truncated and content.startswith(_START_OF_JPEG) and "truncated" in str(error):
        return content + _END_OF_JPEG
    return None


def _bare_png(content: bytes) -> bytes | None:
    """A PNG without text, dates and all else that its pixels do not need; None when what they need is damaged."""
    position, chunks = len(_START_OF_PNG), [_START_OF_PNG]
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = content[position : position + 12 + length]
        position += 12 + length
        sound = len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind in _PNG_PIXELS and not sound:
            return None
        if sound and kind in _PNG_PIXELS + _PNG_WANTED:
            chunks.append(chunk)
    return b"".join(chunks)
