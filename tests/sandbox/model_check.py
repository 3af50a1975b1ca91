"""Compares raw answers with botocore's own service models, member by member.

botocore's parsers are lenient: they drop what they do not know and leave out what is missing.
This check is not: unknown members, missing required ones, wrong types and values outside an
enumeration are all reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from xml.etree import ElementTree as ET

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

_SCALARS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


@cache
def service_model(service: str) -> ServiceModel:
    """The SDK's model of ``service``."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def faults_of(service: str, operation: str, body: bytes) -> list[str]:
    """What is wrong with a successful answer's body; empty when nothing is."""
    model = service_model(service)
    shape = model.operation_model(operation).output_shape
    if model.resolved_protocol in {"json", "rest-json"}:
        raw = json.loads(body)
        return [] if shape is None else list(_json_faults(shape, raw, operation))
    root = ET.fromstring(body)  # noqa: S314  # our own server's answer
    if model.resolved_protocol == "rest-xml" and shape is not None:
        # The root's name is the service's own; headers are no part of the body.
        return list(_xml_faults(shape, root, operation))
    wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
    ignored = {"requestId", "ResponseMetadata"} | ({"return"} if shape is None else set())
    holder = root if wrapper is None else _child(root, wrapper)
    faults = [] if _tag(root) == f"{operation}Response" else [f"root is {_tag(root)}"]
    if shape is None:
        return faults + [f"{_tag(c)} is unknown" for c in holder if _tag(c) not in ignored]
    return faults + list(_xml_faults(shape, holder, operation, ignored))


def error_codes_of(service: str, operation: str) -> set[str]:
    """The error codes that the model declares for an operation."""
    shapes = service_model(service).operation_model(operation).error_shapes
    return {str(shape.metadata.get("error", {}).get("code", shape.name)) for shape in shapes}


def _json_faults(shape: Shape, value: object, where: str) -> Iterator[str]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from _member_faults(shape, value, where)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _json_faults(shape.member, inner, f"{where}[{index}]")
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        for key, inner in value.items():
            yield from _json_faults(shape.value, inner, f"{where}[{key}]")
    elif isinstance(shape, StructureShape | ListShape | MapShape):
        yield f"{where} is {type(value).__name__}, not {shape.type_name}"
    else:
        yield from _scalar_faults(shape, value, where)


def _member_faults(shape: StructureShape, value: Mapping[str, object], where: str) -> Iterator[str]:
    names = {
        member.serialization.get("name", name): (name, member)
        for name, member in shape.members.items()
    }
    yield from (f"{where}.{key} is unknown" for key in value if key not in names)
    present = {names[key][0] for key in value if key in names}
    yield from (
        f"{where}.{name} is missing" for name in shape.required_members if name not in present
    )
    for key, inner in value.items():
        if key in names:
            yield from _json_faults(names[key][1], inner, f"{where}.{key}")


def _scalar_faults(shape: Shape, value: object, where: str) -> Iterator[str]:
    wanted = _SCALARS.get(shape.type_name, (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        yield f"{where} is {type(value).__name__}, not {shape.type_name}"
    enum = shape.enum if isinstance(shape, StringShape) else []
    if enum and value not in enum:
        yield f"{where} is {value!r}, not among the model's values"


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _child(parent: ET.Element, name: str) -> ET.Element:
    return next(child for child in parent if _tag(child) == name)


def _xml_faults(
    shape: Shape, element: ET.Element, where: str, ignored: set[str] | None = None
) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        names = {
            member.serialization.get("name", name): (name, member)
            for name, member in shape.members.items()
        }
        present = set()
        for child in element:
            tag = _tag(child)
            if tag in names:
                present.add(names[tag][0])
                member = names[tag][1]
                flat = isinstance(member, ListShape) and member.serialization.get("flattened")
                inner = member.member if flat and isinstance(member, ListShape) else member
                yield from _xml_faults(inner, child, f"{where}.{tag}")
            elif tag not in (ignored or set()):
                yield f"{where}.{tag} is unknown"
        yield from (
            f"{where}.{name} is missing" for name in shape.required_members if name not in present
        )
    elif isinstance(shape, ListShape):
        item = shape.member.serialization.get("name", "member")
        for index, child in enumerate(element):
            if _tag(child) != item:
                yield f"{where}[{index}] is called {_tag(child)}, not {item}"
            yield from _xml_faults(shape.member, child, f"{where}[{index}]")
    else:
        yield from _text_faults(shape, element.text or "", where)


def _text_faults(shape: Shape, text: str, where: str) -> Iterator[str]:
    enum = shape.enum if isinstance(shape, StringShape) else []
    if enum and text not in enum:
        yield f"{where} is {text!r}, not among the model's values"
    if shape.type_name == "boolean" and text not in {"true", "false"}:
        yield f"{where} is {text!r}, no boolean"
    if shape.type_name in {"integer", "long"} and not text.lstrip("-").isdigit():
        yield f"{where} is {text!r}, no integer"
    if shape.type_name in {"double", "float"}:
        try:
            float(text)
        except ValueError:
            yield f"{where} is {text!r}, no number"
