"""A verification for people: a line an input, what is wrong with the files, and a summary in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ffpipe.pipeline.output import inert
from ffpipe.pipeline.verification.job import Verification, Verified

#: Differences of one input, and inputs without any, that are printed one by one.
_SHOWN, _SHOWN_INPUTS = 5, 100

Print = Callable[[str], None]


def print_verification(result: Verification, put: Print) -> None:
    """Print it line by line; nothing of it rests on colour."""
    for line in lines(result):
        put(line)


def lines(result: Verification) -> Iterator[str]:
    """The lines, those of inputs that differ before those that are equal."""
    for each in sorted(result.inputs, key=lambda one: one.equal)[:_SHOWN_INPUTS]:
        yield from _input(each)
    if len(result.inputs) > _SHOWN_INPUTS:
        yield f"… and {len(result.inputs) - _SHOWN_INPUTS} more inputs; --json has each"
    yield from (f"!= files: {inert(problem)}" for problem in result.problems)
    yield from (f"   note: {inert(note)}" for note in result.notes)
    if result.environment:
        changed = "; ".join(
            f"{name} {then} then, {now} now" for name, (then, now) in result.environment.items()
        )
        yield f"   other than then, which may explain differences: {inert(changed)}"
    yield summary(result)


def _input(each: Verified) -> Iterator[str]:
    mark, how = ("==", "equal") if each.equal else ("!=", "differs")
    scored = "" if each.rescored else " (content only; not scored again)"
    yield f"{mark} {how:8} {inert(each.path)}{scored}"
    for difference in each.differences[:_SHOWN]:
        yield f"      {inert(str(difference))}"
    if len(each.differences) > _SHOWN:
        yield f"      … and {len(each.differences) - _SHOWN} more differences; --json has each"


def summary(result: Verification) -> str:
    """What was found, in a sentence."""
    count, differing = len(result.inputs), sum(not each.equal for each in result.inputs)
    scored = sum(each.rescored for each in result.inputs)
    inputs = f"{count} input{'' if count == 1 else 's'}"
    if not result.exit_code:
        return f"verified: {inputs} equal, {scored} of them scored again"
    wrong = len(result.problems)
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    files = f"; {things} wrong with the report's files" if wrong else ""
    return f"NOT EQUAL: {differing} of {inputs} differ{files}"
