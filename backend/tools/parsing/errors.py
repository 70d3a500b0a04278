"""What goes wrong with text of strangers."""


class ParsingError(Exception):
    """It could not be read within the limits, or at all; the message says which, and holds nothing of it."""
