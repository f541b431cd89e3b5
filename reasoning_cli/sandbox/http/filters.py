"""The vendor's `filter` expressions: `name="x" AND created_at > "…"`, with AND, OR, NOT and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from reasoning_cli.sandbox.clock import parse_stamp, stamp
from reasoning_cli.sandbox.http.problems import ApiError, bad_request

Values = Mapping[str, tuple[str, ...]]
Test = Callable[[Values], bool]

_TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<operator>!=|<=|>=|[=<>:()])|(?P<word>[A-Za-z_]+))')
_MAX_TOKENS = 100  # also keeps the recursion shallow
_TIMES = {"created_at", "updated_at"}


def compile_filter(expression: str) -> Test:
    """A test of one item, given as field -> the spellings it answers to (a name has a bare and a full one).

    Raises ApiError (400) when the expression cannot be read.
    """
    parser = _Parser(_tokens(expression))
    test = parser.either()
    if parser.tokens:
        raise _unreadable(f"unexpected {parser.tokens[0]}")
    return test


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def either(self) -> Test:
        tests = [self._both()]
        while self._take("OR"):
            tests.append(self._both())
        return lambda values: any(test(values) for test in tests)

    def _both(self) -> Test:
        tests = [self._operand()]
        while self._take("AND"):
            tests.append(self._operand())
        return lambda values: all(test(values) for test in tests)

    def _operand(self) -> Test:
        if self._take("NOT"):
            test = self._operand()
            return lambda values: not test(values)
        if self._take("("):
            test = self.either()
            if not self._take(")"):
                raise _unreadable("a parenthesis is not closed")
            return test
        if len(self.tokens) < 3:
            raise _unreadable("a comparison is not complete")
        field, operator, literal = self.tokens[:3]
        del self.tokens[:3]
        return _comparison(field, operator, literal)

    def _take(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            del self.tokens[0]
            return True
        return False


def _comparison(field: str, operator: str, literal: str) -> Test:
    wanted = re.sub(r"\\(.)", r"\1", literal[1:-1]) if literal.startswith('"') else literal
    if field in _TIMES:
        try:
            wanted = stamp(parse_stamp(wanted))
        except (ValueError, OverflowError) as error:
            raise _unreadable(f"{field} takes an RFC 3339 time") from error
    pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("*")))
    tests: dict[str, Callable[[str], bool]] = {
        "=": lambda value: pattern.fullmatch(value) is not None if field == "name" else value == wanted,
        "!=": lambda value: value != wanted,
        "<": lambda value: value < wanted,
        "<=": lambda value: value <= wanted,
        ">": lambda value: value > wanted,
        ">=": lambda value: value >= wanted,
        ":": lambda value: wanted in value,
    }
    if operator not in tests:
        raise _unreadable(f"{operator} is not a comparison")
    test = tests[operator]
    every = operator == "!="

    def check(values: Values) -> bool:
        if field not in values:
            raise _unreadable(f"unknown field {field}")
        return (all if every else any)(test(value) for value in values[field])

    return check


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    end = len(expression.rstrip())
    at = 0
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None:
            raise _unreadable(f"unexpected text at position {at}")
        tokens.append(match.group(match.lastgroup or 0))
        at = match.end()
    if not 0 < len(tokens) <= _MAX_TOKENS:
        raise _unreadable("empty or too long")
    return tokens


def _unreadable(why: str) -> ApiError:
    return bad_request(f"invalid filter: {why}", param="filter")
