"""What the record tools take, as models of Python.

CrewAI holds models to a tool's schema strictly: what is not named there can't be said. So a record's data has the fields that the app's
collection declares, and a filter those that KP's tasks use.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from .definition import properties

SCALARS: dict[str, Any] = {"string": str, "integer": int, "number": int | float, "boolean": bool}


class Open(BaseModel):
    """What is said beyond the schema is the server's to judge."""

    model_config = ConfigDict(extra="allow")


class Sort(Open):
    """A field that a list is sorted by."""

    field: str
    descending: bool | None = None


Value = str | int | float | bool | None
TEST: dict[str, Any] = {"eq": (Value, None), "ne": (Value, None), "in": (list[str] | None, None)}
Test = create_model("Test", __base__=Open, field=(str, ...), **TEST)
Filter = create_model("Filter", __base__=Open, field=(str | None, None), **TEST, all=(list[Test] | None, None))  # type: ignore[valid-type]


def arguments_of(operation: str, collections: list[str]) -> type[BaseModel]:
    """What an operation on records takes, in one of these collections."""
    which = "The collection's name."
    fields: dict[str, Any] = {"collection": (Literal[tuple(collections)], Field(description=which))}
    if operation in ("record.get", "record.update"):
        fields["id"] = (str, Field(description="Which one."))
    if operation in ("record.create", "record.update"):
        fields["data"] = (data_of(collections), Field(description="Its own fields; null is absent."))
    if operation == "record.update":
        fields["revision"] = (int | None, Field(None, description="The row's revision as you have read it: another one is a conflict."))
    if operation == "record.list":
        what = 'Which, such as {"field": "status", "eq": "read"}, or {"all": [...]} of such; null: all.'
        fields["filter"] = (Filter | None, Field(None, description=what))
        fields["sort"] = (list[Sort] | None, Field(None, description="By what; null: by id."))
        fields["limit"] = (int | None, Field(None, description="How many at most: 1 to 500; null: 50."))
    return create_model(operation.title().replace(".", ""), **fields)


def data_of(collections: list[str]) -> type[BaseModel]:
    """The data of a record in one of these collections."""
    fields: dict[str, Any] = {}
    for collection in collections:
        for name, schema in properties(collection).items():
            # Collections may have a field of the same name that holds something else.
            known = fields[name][0] if name in fields else None
            fields[name] = (type_of(schema) | known, Field(None, description=schema.get("description")))
    return create_model("Data", __base__=Open, **fields)


def type_of(schema: dict[str, Any]) -> Any:
    """The type of Python for a property."""
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if schema["type"] == "array":
        return list[type_of(schema["items"])]  # type: ignore[misc]
    return SCALARS[schema["type"]]
