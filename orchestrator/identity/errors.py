"""What is wrong with what an operator gave us."""


class IdentityFileError(Exception):
    """A file of certificates, keys or identities cannot be used; the message names what, and no secret."""
