"""Says from the header what a file is that could not be decoded."""

SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
"""First bytes of the two formats."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame header, with kind and size. Source: ITU-T T.81, table B.1."""
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
HIERARCHICAL = {0xC5, 0xC6, 0xCD, 0xCE}
BARE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment after them."""

_JFIF = b"\xff\xd8\xff\xe0\x00\x10JFIF\0"
"""Start of a JPEG whose first segment is JFIF's without a thumbnail."""
_HARMLESS = {0xC4, 0xDB, 0xDD, 0xFE}
"""Markers of Huffman tables, quantisation tables, the restart interval and comments."""
_ICC = b"ICC_PROFILE\0"


def plain_pixels(image_bytes: bytes) -> int:
    """Return the number of pixels of a JPEG in colour with a header that is read in one way only.

    It has JFIF's segment, tables, comments, colour profiles, a baseline frame of three components
    of 8 bits, and a first scan of all three: decoders take no second one. Return 0 for any other.
    """
    if not image_bytes.startswith(_JFIF):
        return 0
    offset, pixels = 20, 0
    while offset + 10 <= len(image_bytes) and image_bytes[offset] == 0xFF:
        marker = image_bytes[offset + 1]
        length = int.from_bytes(image_bytes[offset + 2 : offset + 4])
        if marker == 0xDA:
            return pixels if image_bytes[offset + 4] == 3 else 0
        if marker == 0xC0:
            if pixels or (length, image_bytes[offset + 4], image_bytes[offset + 9]) != (17, 8, 3):
                return 0
            height, width = (int.from_bytes(image_bytes[offset + at :][:2]) for at in (5, 7))
            pixels = height * width
        elif marker == 0xE2:
            if length < 16 or not image_bytes.startswith(_ICC, offset + 4):
                return 0
        elif marker not in _HARMLESS or length < 2:
            return 0
        offset += 2 + length
    return 0


def describe(image_bytes: bytes) -> str:
    """Say in a few words what a file is that Pillow does not recognise."""
    form = next((name for start, name in SIGNATURES.items() if image_bytes.startswith(start)), None)
    if form is None:
        return "neither JPEG nor PNG"
    return rare_kind(image_bytes) or f"{form} with a damaged header"


def rare_kind(image_bytes: bytes) -> str | None:
    """Return the kind of a JPEG that the decoders do not support, or None."""
    frame = _frame(image_bytes) if image_bytes.startswith(b"\xff\xd8\xff") else None
    if frame is None:
        return None
    marker, bits, height, width = frame
    if marker in LOSSLESS:
        return "lossless JPEG"
    if marker in HIERARCHICAL:
        return "hierarchical JPEG"
    if bits != 8:
        return f"JPEG of {bits} bits a sample"
    return None if width and height else f"JPEG of {width}x{height} pixels"


def _frame(image_bytes: bytes) -> tuple[int, int, int, int] | None:
    """Return marker, bits per sample, height and width of a JPEG's first frame, or None."""
    offset = 2
    while offset + 9 <= len(image_bytes) and image_bytes[offset] == 0xFF:
        marker = image_bytes[offset + 1]
        if marker in FRAMES:
            height, width = (int.from_bytes(image_bytes[offset + at :][:2]) for at in (5, 7))
            return marker, image_bytes[offset + 4], height, width
        if marker == 0xFF:  # padding
            offset += 1
        elif marker in BARE:
            offset += 2
        else:
            offset += 2 + int.from_bytes(image_bytes[offset + 2 : offset + 4])
    return None
