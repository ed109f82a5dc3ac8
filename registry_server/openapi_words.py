"""JSON Schema in few words."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
POSITIVE: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}


def says(schema: Schema, description: str) -> Schema:
    """The same, with its meaning."""
    return {**schema, "description": description}


def or_null(schema: Schema, description: str = "") -> Schema:
    """The same, or null."""
    found: Schema = (
        {"type": [schema["type"], "null"]} if "type" in schema else {"enum": [*schema["enum"], None]}
    )
    found.update({key: value for key, value in schema.items() if key not in ("type", "enum")})
    return says(found, description) if description else found


def object_(properties: Schema, optional: tuple[str, ...] = (), *, closed: bool = True) -> Schema:
    """An object with these, and no others if it is ``closed``."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        **({"additionalProperties": False} if closed else {}),
    }


def counts(*names: str) -> Schema:
    """Whole numbers by name."""
    return object_(dict.fromkeys(names, WHOLE))


def maps(schema: Schema) -> Schema:
    """Any names, with such values."""
    return {"type": "object", "additionalProperties": schema}


def list_of(schema: Schema) -> Schema:
    """Any number of them."""
    return {"type": "array", "items": schema}


def rows(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """Any number of objects with these."""
    return list_of(object_(properties, optional))


def tuple_(*schemas: Schema) -> Schema:
    """One of each, in this order."""
    return {
        "type": "array",
        "prefixItems": list(schemas),
        "minItems": len(schemas),
        "maxItems": len(schemas),
    }


def ref(name: str) -> Schema:
    """One of the components."""
    return {"$ref": f"#/components/schemas/{name}"}
