"""What is checked before a change goes in: `nox` runs the tests on every supported Python that is installed, and lint,
types and the site. One of them: `nox -s docs`; some tests on one Python: `nox -s tests-3.12 -- tests/test_settings.py`.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False  # those present run

# All that pyproject.toml claims.
PYTHONS = [
    classifier.rpartition(" ")[2]
    for classifier in nox.project.load_toml("pyproject.toml")["project"]["classifiers"]
    if classifier.startswith("Programming Language :: Python :: 3.")
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The site, into docs/_build; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("python", "-m", "sphinx", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session(default=False)
def mutations(session: nox.Session) -> None:
    """Which faults in money, gate and circuit no test notices; ten minutes at most."""
    session.install("-e", ".[dev]", "mutmut==3.8.1")
    session.run("python", "-m", "benchmarks.mutations", *session.posargs)
