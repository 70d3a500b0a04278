"""What the requests of several vendors share."""

import orjson

Json = dict[str, object]


def parsed_object(text: str) -> Json | None:
    """The JSON object that a text is, or None."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def call_input(arguments: str) -> Json:
    """The arguments of an earlier tool call, for vendors that want an object.

    A model may have written no JSON; it then sees again what it wrote.
    """
    value = parsed_object(arguments)
    return {"invalid_json": arguments} if value is None else value
