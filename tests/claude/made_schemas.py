"""What the makers of schemas write, and what OpenAI documents for its strict mode."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from openai import pydantic_function_tool
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from tests.claude.schema_cases import CAT, DOG, NULL, NUMBER, TEXT, closed


class Step(BaseModel):
    """One step."""

    explanation: str = Field(description="why")
    output: str


class Tree(BaseModel):
    label: Literal["div", "button", "header"]
    children: "list[Tree]"
    parent: "Tree | None" = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    born: date | None = None


class Everything(BaseModel):
    steps: list[Step]
    first: Step = Field(description="the first one")
    tree: Tree
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    id: UUID
    share: float
    tags: list[str] = []
    maybe: Literal["a", "b"] | None = None


MADE = {
    "pydantic": Everything.model_json_schema(),
    "pydantic, a recursive model": Tree.model_json_schema(),
    "openai": to_strict_json_schema(Everything),
    "openai, a recursive model": to_strict_json_schema(Tree),
    "openai, a function": dict(pydantic_function_tool(Step)["function"].get("parameters", {})),
    "zod": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "name": TEXT,
            "age": {"anyOf": [NUMBER, NULL]},
            "role": {"type": "string", "enum": ["admin", "user"]},
            "shape": {"oneOf": [CAT, DOG]},
            "tags": {"type": "array", "items": TEXT},
            "more": {"type": "object", "properties": {"a": TEXT}, "additionalProperties": {}},
        },
        "required": ["name", "age", "role", "shape", "tags"],
        "additionalProperties": False,
    },
    "zod-to-json-schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {
            "answer": closed(
                a=closed(x={"type": ["string", "null"]}),
                b={"$ref": "#/definitions/answer/properties/a"},
                c={"type": "array", "items": {"$ref": "#/definitions/answer"}},
            )
        },
        "$ref": "#/definitions/answer",
    },
    "a nested list of steps": closed(
        steps={"type": "array", "items": closed(explanation=TEXT, output=TEXT)}, final_answer=TEXT
    ),
    "optional by null": closed(
        location=TEXT | {"description": "where"},
        unit={"type": ["string", "null"], "description": "u", "enum": ["F", "C", None]},
    ),
    "a user or an address": closed(
        item={
            "anyOf": [
                closed(name=TEXT, age=NUMBER) | {"description": "The user"},
                closed(street=TEXT, city=TEXT) | {"description": "The address"},
            ]
        }
    ),
    "definitions": closed(
        steps={"type": "array", "items": {"$ref": "#/$defs/step"}}, final_answer=TEXT
    )
    | {"$defs": {"step": closed(explanation=TEXT, output=TEXT)}},
    "a linked list": closed(linked_list={"$ref": "#/$defs/linked_list_node"})
    | {
        "$defs": {
            "linked_list_node": closed(
                value=NUMBER, next={"anyOf": [{"$ref": "#/$defs/linked_list_node"}, NULL]}
            )
        }
    },
    "a tree of components": closed(
        type={"type": "string", "description": "kind", "enum": ["div", "button"]},
        label=TEXT,
        children={"type": "array", "items": {"$ref": "#"}},
        attributes={"type": "array", "items": closed(name=TEXT, value=TEXT)},
    ),
}
"""What the makers of schemas write, and what OpenAI documents for its strict mode."""
