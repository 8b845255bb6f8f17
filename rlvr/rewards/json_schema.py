"""The reward for an answer that is JSON and valid under a given schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend, validator_for  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import EMPTY_REGISTRY

from rlvr.rewards.functions import wrong_when_late
from rlvr.types import Status, Verdict
from rlvr.verify.thoughts import MARKS, UNENDED, Marks, after_thoughts

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_MAX_ERRORS = 100  # among which the first by path is named
_MAX_DIGITS = 308  # of an integer, so that it can be converted to a float, as for `multipleOf`


@wrong_when_late()
def json_schema_reward(
    completion: str,
    schema: Mapping[str, Any],
    max_characters: int = 20_000,
    max_depth: int = 20,
    correct: float = 1.0,
    wrong: float = 0.0,
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the completion's JSON is valid under `schema` (JSON Schema, 2020-12 unless it says).

    The JSON is the last fenced block that is marked `json` or unmarked, or else all that follows the last
    thought. Text beyond `max_characters` or `max_depth`, numbers beyond ±1e308 and invalid JSON are
    unparseable. JSON that is not valid under the schema is wrong; the reason has the path of the first
    error. References to other documents are not followed. A `pattern` in the schema may be slow on some
    texts: past the reward service's deadline the answer is wrong. Raises ValueError if `schema` is no valid
    schema.
    """
    validator = _validator(json.dumps(schema, sort_keys=True))
    answer = after_thoughts(completion, marks=thoughts)
    if answer is None:
        return Verdict(Status.UNPARSEABLE, wrong, UNENDED)
    text = _json_text(answer[: 10 * max_characters])
    if len(text) > max_characters:
        return Verdict(Status.UNPARSEABLE, wrong, f"over {max_characters} characters of JSON")
    if _depth(text) > max_depth:
        return Verdict(Status.UNPARSEABLE, wrong, f"JSON nested over {max_depth} deep")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except ValueError as error:
        return Verdict(Status.UNPARSEABLE, wrong, f"no JSON: {error}")
    except RecursionError:
        return Verdict(Status.UNPARSEABLE, wrong, "JSON nested too deeply")
    try:
        errors = list(islice(validator.iter_errors(value), _MAX_ERRORS))
    except RecursionError:  # a recursive schema recurses as deeply as the value
        return Verdict(Status.WRONG, wrong, "JSON nested too deeply for the schema", text)
    if errors:
        first = min(errors, key=lambda error: error.json_path)
        reason = f"{first.json_path}: {first.message[:200]}"
        return Verdict(Status.WRONG, wrong, reason, text, rule="JSON Schema")
    return Verdict(Status.CORRECT, correct, "valid under the schema", text, rule="JSON Schema")


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    content = json.loads(schema)
    kind = validator_for(content, default=Draft202012Validator)
    try:
        kind.check_schema(content)
    except SchemaError as error:
        raise ValueError(f"the schema is invalid: {error.json_path}: {error.message[:200]}") from error
    registry: Registry[Any] = EMPTY_REGISTRY  # the default one fetches references over the network
    return extend(kind, {"uniqueItems": _unique_items})(content, registry=registry)


def _unique_items(validator: Any, unique: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Like the library's, but in linear time: that one compares all pairs of items that cannot be sorted."""
    if unique and validator.is_type(value, "array") and len({_hashable(item) for item in value}) < len(value):
        yield ValidationError("it has non-unique items")


def _hashable(value: Any) -> Any:
    """A hashable value; equal for equal JSON values: 1 equals 1.0, but not true."""
    if isinstance(value, list):
        return "array", tuple(map(_hashable, value))
    if isinstance(value, dict):
        return "object", frozenset((name, _hashable(item)) for name, item in value.items())
    return type(value) is bool, value


def _json_text(text: str) -> str:
    blocks = [match.group(2) for match in _FENCE.finditer(text) if match.group(1).lower() in ("", "json")]
    return blocks[-1].strip() if blocks else text.strip()


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _TOKEN.finditer(text):
        depth += (match.group()[0] in "[{") - (match.group()[0] in "]}")
        deepest = max(deepest, depth)
    return deepest


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is beyond ±1e308")
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {text[:40]}… is beyond ±1e308")
    return int(text)
