"""Which JSON schemas OpenAI can hold a model to."""

from collections.abc import Mapping

_REFUSED = frozenset(
    (
        "allOf",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxLength",
        "minLength",
        "not",
        "oneOf",
        "patternProperties",
        "then",
        "uniqueItems",
    )
)


def fits_strict(schema: object) -> bool:
    """Whether `strict` may be asked for; with any other schema that is an error, so it stays a hint."""
    if isinstance(schema, list):
        return all(map(fits_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if not _REFUSED.isdisjoint(schema):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        if schema.get("additionalProperties") is not False or set(required) != set(properties):
            return False
        return all(map(fits_strict, properties.values()))
    return all(map(fits_strict, schema.values()))
