"""Events on their way to a broker."""
