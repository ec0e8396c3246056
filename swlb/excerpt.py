"""What a server or a program said, short enough for a sentence. No I/O."""

EXCERPT_LEN = 60  # bytes; a line of text


def excerpt(data: bytes, length: int = EXCERPT_LEN) -> str:
    """The beginning of the data in quotes, control characters and what is no text escaped, and whether that is all."""
    if not data:
        return "nothing"
    try:
        text = repr(data[:length].decode())
    except UnicodeDecodeError:
        text = repr(data[:length])[1:]
    return f"{text} and more" if len(data) > length else text
