"""What errors say can be told in another language: their words stand in the source, values beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc import errors

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("recsvc", "jobs")
    for path in (ROOT / package).rglob("*.py")
    if ROOT / "recsvc" / "client" not in path.parents
)
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
STRAY = re.compile(r"%(?!\(\w+\)s|%)(?<!%%)")
CLASSES = {name for name in vars(errors) if name.endswith("Error")} | {"RowError"}


def name_of(call: ast.AST) -> str:
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def composed(tree: ast.AST) -> Iterator[ast.expr]:
    """First arguments of errors that are put together where they are raised."""
    made = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and not is_told(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if name_of(node) in CLASSES and node.args and not is_told(node.args[0], made):
            yield node.args[0]


def is_told(words: ast.expr, made: set[str]) -> bool:
    """Whether words stand in the source as they are, or come from another error or sentence."""
    match words:
        case ast.Constant(value=str()) | ast.Attribute():
            return True
        case ast.Name(id=name):
            return name not in made
    return name_of(words) == "Sentence"


def test_no_error_is_told_in_words_that_are_put_together_where_it_is_raised():
    found = [
        f"{path.relative_to(ROOT)}:{words.lineno}: {ast.unparse(words)}"
        for path in SOURCES
        for words in composed(ast.parse(path.read_text()))
    ]

    assert found == []


@pytest.mark.parametrize(
    "raised",
    [
        'raise ConflictError(f"Run {run_id} has ended.")',
        'raise ConflictError("Run " + run_id)',
        'raise ConflictError("Run {}".format(run_id))',
        'message = f"Run {run_id} has ended."\nraise ConflictError(message)',
        'raise RowError(f"{field} is missing")',
    ],
)
def test_words_that_are_put_together_are_found(raised):
    assert len(list(composed(ast.parse(raised)))) == 1


@pytest.mark.parametrize(
    "raised",
    [
        'raise ConflictError("Run %(run_id)s has ended.", run_id=run_id)',
        'message = Sentence("Run %(run_id)s has ended.", run_id=run_id)\nraise ConflictError(message)',
        "raise ConflictError(error.words)",
    ],
)
def test_words_that_stand_in_the_source_are_let_be(raised):
    assert list(composed(ast.parse(raised))) == []


def mismatched(tree: ast.AST) -> Iterator[ast.Call]:
    """Sentences whose values are not those that their words name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or name_of(node) not in {*CLASSES, "Sentence"} - {"NotFoundError"}:
            continue
        if not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        given = {keyword.arg for keyword in node.keywords} - {"errors"}
        words = str(node.args[0].value)
        if set(PLACEHOLDER.findall(words)) != given or (given and STRAY.search(words)):
            yield node


def test_every_sentence_is_given_the_values_that_its_words_name():
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for path in SOURCES
        for call in mismatched(ast.parse(path.read_text()))
    ]

    assert found == []


@pytest.mark.parametrize(
    "raised",
    [
        'raise ConflictError("Run %(run_id)s has ended.", run=run_id)',
        'raise ConflictError("Run %(run_id)s has ended.")',
        'raise ConflictError("100 % of %(run_id)s.", run_id=run_id)',
    ],
)
def test_values_that_do_not_fit_are_found(raised):
    assert len(list(mismatched(ast.parse(raised)))) == 1
