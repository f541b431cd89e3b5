"""Engines by name: ours, and one that another package brings by its entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reasoning_cli.engines import registry
from reasoning_cli.engines.engine import Access, Engine
from reasoning_cli.engines.features import CLOUD, Feature
from reasoning_cli.errors import ConfigurationError
from tests.engines.third_party import ENGINE, install

ACCESS = Access("http://127.0.0.1:9", "key")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, looked through before the others."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("acme_engine", "other_engine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_ours_are_found_without_looking_through_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entry_points", lambda: pytest.fail("every installed package was looked through"))
    assert [registry.engine(name).name for name in ("together", "openai")] == ["together", "openai"]
    assert registry.engine("together").features >= CLOUD


def test_an_engine_of_another_package_is_found_by_its_entry_point(packages: Path) -> None:
    install(packages, "acme")
    assert "acme" in registry.engine_names()
    assert "acme_engine" not in sys.modules  # not loaded before it is named
    found = registry.engine("acme")
    assert isinstance(found, Engine)
    assert found.title == "Acme's models"
    answer = registry.answering("acme", ACCESS).chat("m", [{"role": "user", "content": "hello"}], max_tokens=5)
    assert answer.text == "hello"


def test_an_engine_nobody_brings_is_an_error_with_the_names_there_are(packages: Path) -> None:
    install(packages, "acme")
    with pytest.raises(ConfigurationError) as raised:
        registry.engine("acne")
    assert raised.value.message.startswith("`acne` is not an engine: there are together, openai")
    assert raised.value.hint is not None
    assert "did you mean `acme`?" in raised.value.hint
    assert "pip install" in raised.value.hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no licence')", "cannot be loaded: no licence"),
        ("import there_is_no_such_module", "cannot be loaded: No module named 'there_is_no_such_module'"),
        ("ENGINE = object()", "is not an engine named `acme`"),
        ("import sys; sys.exit(0)", "cannot be loaded: 0"),
        (ENGINE.replace("features =", "features = None #"), "is not an engine named `acme`"),
        (ENGINE.replace("features =", "features = ['answer'] #"), "is not an engine named `acme`"),
        (ENGINE.replace("title =", "title = 5 #"), "is not an engine named `acme`"),
        ("pass", "cannot be loaded: module 'acme_engine' has no attribute 'ENGINE'"),
    ],
)
def test_a_package_that_is_broken_is_an_error_that_names_it(packages: Path, source: str, said: str) -> None:
    install(packages, "acme", source)
    with pytest.raises(ConfigurationError, match="`acme-engine`") as raised:
        registry.engine("acme")
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            "def address(self, access):\n        raise RuntimeError('no licence')",
            "cannot say where it answers: no licence",
        ),
        ("def address(self, access):\n        return 5", "cannot say where it answers: 5 is not an address"),
        ("def connect(self, access):\n        import sys; sys.exit(0)", "cannot be connected to: 0"),
        ("def connect(self, access):\n        return None", "cannot be connected to: what it connects by cannot be"),
    ],
)
def test_what_goes_wrong_in_an_engine_is_its_error(packages: Path, broken: str, said: str) -> None:
    place = broken.partition("\n")[0]
    install(packages, "acme", ENGINE.replace(place, f"{broken}\n\n    def unused(self, access):"))
    with pytest.raises(ConfigurationError, match="`acme-engine`") as raised:
        registry.engine("acme").address(ACCESS) if "address" in place else registry.engine("acme").connect(ACCESS)
    assert said in raised.value.message


def test_what_a_package_prints_is_no_answer_of_a_command(packages: Path, capfd: pytest.CaptureFixture[str]) -> None:
    install(packages, "acme", f"print('hello')\n{ENGINE}")
    assert registry.engine("acme").title == "Acme's models"
    assert capfd.readouterr() == ("", "hello\n")


def test_two_packages_with_an_engine_of_one_name_are_an_error(packages: Path) -> None:
    install(packages, "acme")
    install(packages, "acme", package="other_engine")
    with pytest.raises(ConfigurationError, match="several packages bring an engine `acme`: acme-engine, other-engine"):
        registry.engine("acme")


def test_another_package_does_not_take_the_name_of_ours(packages: Path) -> None:
    install(packages, "together")
    assert registry.engine_names().count("together") == 1
    assert registry.engine("together").title == "Together"


def test_what_an_engine_cannot_do_is_not_asked_of_it() -> None:
    with pytest.raises(ConfigurationError, match="a server of your own cannot"):
        registry.cloud(ACCESS, "openai")
    assert Feature.TRAIN not in registry.engine("openai").features
