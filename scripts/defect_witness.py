"""A pytest plugin: how each test ended, and whether it was an assertion that objected, as JSON lines."""

import json
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

# What a test says no with: its own assertions, and what the database or the product refuses.
JUDGEMENTS = (AssertionError, pytest.fail.Exception, psycopg.Error)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--witness FILE."""
    parser.addoption("--witness", type=Path, help="write how each test ended to this file")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One line for each phase that ran."""
    report = yield
    raised = call.excinfo.value if report.failed and call.excinfo else None
    _write(item.config, item.nodeid, report.when, raised)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A line for each file that could not be read."""
    report = yield
    if report.failed:
        _write(collector.config, collector.nodeid, "collect", RuntimeError(str(report.longrepr)[-300:]))
    return report


def _write(config: pytest.Config, test: str, when: str, raised: BaseException | None) -> None:
    file = config.getoption("witness")
    if file is None:
        return
    line = {
        "test": test,
        "when": when,
        "error": "" if raised is None else f"{type(raised).__name__}: {raised}"[:300],
        "is_judgement": raised is not None and _is_judgement(raised),
    }
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def _is_judgement(raised: BaseException) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        return all(_is_judgement(each) for each in raised.exceptions)
    return isinstance(raised, JUDGEMENTS)
