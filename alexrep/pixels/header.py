"""What a file is that no decoder opens, as far as its header tells."""

SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
"""First bytes of the two formats."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame, which tells its kind and its size. Source: ITU-T T.81, table B.1."""
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
HIERARCHICAL = {0xC5, 0xC6, 0xCD, 0xCE}
BARE = {0x01, *range(0xD0, 0xD9)}
"""Markers with nothing after them."""


def describe(content: bytes) -> str:
    """Say in a few words what a file is that is not even opened."""
    form = next((of for start, of in SIGNATURES.items() if content.startswith(start)), None)
    if form is None:
        return "neither JPEG nor PNG"
    return rare_kind(content) or f"{form} with a damaged header"


def rare_kind(content: bytes) -> str | None:
    """Return the kind of JPEG that no decoder here knows, or None if it is another file."""
    found = _frame(content) if content.startswith(b"\xff\xd8\xff") else None
    if found is None:
        return None
    marker, bits, height, width = found
    if marker in LOSSLESS:
        return "lossless JPEG"
    if marker in HIERARCHICAL:
        return "hierarchical JPEG"
    if bits != 8:
        return f"JPEG of {bits} bits a sample"
    return None if width and height else f"JPEG of {width}x{height} pixels"


def _frame(content: bytes) -> tuple[int, int, int, int] | None:
    """Return marker, bits a sample, height and width of a JPEG's first frame, or None."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in FRAMES:
            height, width = (int.from_bytes(content[place + at :][:2]) for at in (5, 7))
            return marker, content[place + 4], height, width
        if marker == 0xFF:  # padding
            place += 1
        elif marker in BARE:
            place += 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return None
