"""How IAM decides, for the operators that our policies use; anything else is refused, not guessed.

Source: the IAM user guide's policy evaluation logic, within one account and without boundaries: an explicit deny
wins, then an allow, else it is denied implicitly. Conditions of a statement must all hold, one of a key's values must.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Context = Mapping[str, str]


def decide(policies: Iterable[Mapping[str, Any]], action: str, resource: str, context: Context | None = None) -> str:
    """`allowed`, `explicitDeny` or `implicitDeny`, as the policy simulator says it."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy["Statement"])
        if _applies(statement, action, resource, context or {})
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if "Allow" in effects else "implicitDeny"


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    if unknown:
        raise NotImplementedError(f"This evaluator does not know {unknown}")
    return (
        any(_like(action.lower(), pattern.lower()) for pattern in _listed(statement["Action"]))
        and any(_like(resource, pattern) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, values, context)
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )
    )


def _holds(operator: str, key: str, values: Any, context: Context) -> bool:
    given = {name.lower(): value for name, value in context.items()}.get(key.lower())
    base = operator.removesuffix("IfExists")
    if given is None:
        return base != operator
    match base:
        case "StringEquals":
            return any(given == value for value in _listed(values))
        case "StringLike" | "ArnLike":
            return any(_like(given, value) for value in _listed(values))
        case "Bool":
            return any(given.lower() == str(value).lower() for value in _listed(values))
        case "NumericLessThan":
            return any(float(given) < float(value) for value in _listed(values))
    raise NotImplementedError(f"This evaluator does not know the operator {operator}")


def _like(text: str, pattern: str) -> bool:
    expression = "".join(".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
