"""What an operator is told when the embedded Postgres cannot run."""


class EmbeddedPostgresError(Exception):
    """One line an operator can act on: folder, cause in words, and what to do. It never holds a secret."""
