"""What an operator is told when the outage journal cannot be used."""


class SpoolError(Exception):
    """One line an operator can act on: the file or folder, what is wrong, and what to do."""
