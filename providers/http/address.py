"""Where a provider is."""

from yarl import URL


def checked(base_url: str) -> URL:
    """The URL, if a provider can be called there.

    Raises:
        ValueError: It cannot; the text does not quote it.
    """
    try:
        url = URL(base_url)
    except ValueError:
        # The cause would quote what stands before an @, which may be a password.
        raise ValueError("base_url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must be an absolute http or https URL")
    if url.user is not None or url.password is not None:
        raise ValueError("base_url must hold no credentials: they belong in api_key or extra_headers")
    return url
