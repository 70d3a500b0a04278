"""Text that a database and protobuf take, whatever it was made of."""


def clean(text: str) -> str:
    """Without NUL, which Postgres has no place for, and without half surrogates, which UTF-8 has none for."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
