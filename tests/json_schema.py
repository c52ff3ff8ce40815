"""Holds values against a JSON Schema: the words of it that ours use, without a library."""

from __future__ import annotations


def schema_faults(value, schema, path="message") -> list[str]:
    """What of a value is not as the schema says: the words of JSON Schema that ours uses."""
    if "const" in schema:
        return [] if value == schema["const"] else [f"{path}: {value!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{path}: {value!r}"]
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is_json_type(value, name) for name in names):
        return [f"{path}: {value!r} is none of {names}"]
    found = []
    if "properties" in schema and value is not None:
        found += [f"{path}.{name} is missing" for name in schema["required"] if name not in value]
        found += [f"{path}.{name} is unknown" for name in value if name not in schema["properties"]]
        for name, part in schema["properties"].items():
            found += schema_faults(value[name], part, f"{path}.{name}") if name in value else []
    for item in value if "items" in schema else ():
        found += schema_faults(item, schema["items"], f"{path}[]")
    return found


def _is_json_type(value, name: str) -> bool:
    """A truth value is an int in Python, and a number in no schema."""
    kinds = {"integer": int, "number": (int, float), "string": str, "array": list, "object": dict, "boolean": bool}
    if name == "null":
        return value is None
    return isinstance(value, kinds[name]) and (name == "boolean" or not isinstance(value, bool))
