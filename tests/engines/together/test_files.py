"""Files sent to the service: without the key, whole or not at all, once, and as they were checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.engines.errors import (
    BusyError,
    FileChangedError,
    MissingError,
    RequestRefusedError,
    UnreachableError,
)
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.file_types import RemoteFile, Sending
from reasoning_cli.engines.together.multipart import record_path
from reasoning_cli.errors import DataError
from tests.engines.together.service import KEY, Service, service
from tests.sandbox.decisions import write

SLOW = {"status": 429, "body": {"error": {"message": "slow down", "type": "rate_limit"}}}
FILES, STORAGE, PREPROCESS = "^/v1/files$", "^/_storage/files/", "/preprocess$"
PARTS = Sending(multipart_above=4000, part_bytes=4000)


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "train.jsonl", "should_respond", 16, 1)


def the_file(together: Service) -> RemoteFile:
    """The only one there is, its bytes and its check begun."""
    (file,) = together.client.files()
    return file


def stored(together: Service, file_id: str) -> bytes:
    return together.http.get(f"/v1/files/{file_id}/content").content


def test_a_file_is_sent_and_checked(together: Service, path: Path) -> None:
    told: list[tuple[int, int]] = []
    file_id = together.client.upload_file(path, on_progress=lambda sent, total: told.append((sent, total)))
    assert stored(together, file_id) == path.read_bytes()
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert not together.client.file(file_id).is_checked
    together.advance(60)
    file = together.client.file(file_id)
    assert file.is_ready
    assert (file.flaw, file.file_type, file.purpose) == ("", "jsonl", "fine-tune")
    assert file.validation_report is not None
    assert file.validation_report.nlines == 16
    assert together.client.upload_file(path) == file_id
    assert len(together.journal("PUT")) == 1
    together.client.delete_file(file_id)
    together.client.delete_file(file_id)
    with pytest.raises(MissingError):
        together.client.file(file_id)


@pytest.mark.parametrize("sending", [None, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("fault", [{"cut": "before"}, {"cut": "after_action"}, {"status": 503}, SLOW])
@pytest.mark.parametrize("where", ["first", "bytes", "last"])
def test_one_lost_answer_anywhere_makes_one_whole_file(
    together: Service, path: Path, sending: Sending | None, fault: dict[str, Any], where: str
) -> None:
    whole = {"first": FILES, "bytes": STORAGE, "last": PREPROCESS}
    parts = {"first": "/initiate$", "bytes": "/2$", "last": "/complete$"}
    together.fault((parts if sending else whole)[where], method="PUT" if where == "bytes" else "POST", times=1, **fault)
    try:
        file_id = together.client.upload_file(path, sending=sending)
    except (BusyError, UnreachableError):
        file_id = together.client.upload_file(path, sending=sending)
    file = the_file(together)
    assert (file.id, file.processing_status) == (file_id, "QUEUED")
    assert stored(together, file_id) == path.read_bytes()
    assert not record_path(path).exists()


@pytest.mark.parametrize("sending", [None, PARTS], ids=["whole", "parts"])
def test_an_upload_that_was_stopped_goes_on(together: Service, path: Path, sending: Sending | None) -> None:
    def stop(sent: int, total: int) -> None:
        if sent > 8000 or not sending:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together.client.upload_file(path, sending=sending, on_progress=stop)
    before = len(together.journal("PUT"))
    file_id = together.client.upload_file(path, sending=sending)
    assert the_file(together).id == file_id
    assert stored(together, file_id) == path.read_bytes()
    if sending:
        assert before
        numbers = [one["path"].rpartition("/")[2] for one in together.journal("PUT")]
        assert len(together.journal("POST")) == 3, "begun, completed, checked: once each"
        assert len(numbers) <= -(-path.stat().st_size // 4000) + sending.connections
    assert not record_path(path).exists()


@pytest.mark.parametrize("sending", [None, PARTS], ids=["whole", "parts"])
def test_a_file_that_changes_while_it_is_sent_is_not_taken(
    together: Service, path: Path, sending: Sending | None
) -> None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes().replace(b"RESPOND", b"respond", 1))
    with pytest.raises(FileChangedError) as caught:
        together.client.upload_file(path, sha256=sha256, sending=sending)
    assert caught.value.hint
    assert together.client.files() == []
    assert not record_path(path).exists()


def test_a_file_that_grows_while_it_is_sent_is_not_taken(together: Service, path: Path) -> None:
    size = path.stat().st_size

    def grow(sent: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"x" * 5000)

    with pytest.raises(FileChangedError):
        together.client.upload_file(path, sending=Sending(4000, 4000, connections=1), on_progress=grow)
    assert path.stat().st_size > size
    assert together.client.files() == []


def test_what_was_registered_and_never_sent_is_sent(together: Service, path: Path) -> None:
    """A service that takes a registration for the file itself, and answers 409 with an id that has no bytes."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    form = {"purpose": "fine-tune", "file_name": "a.jsonl", "file_type": "jsonl", "checksum": sha256}
    fields = {name: (None, value) for name, value in form.items()}
    empty = together.http.post("/v1/files", files=fields).headers["x-together-file-id"]
    together.fault(FILES, method="POST", status=409, body={"file_id": empty}, times=1)
    file_id = together.client.upload_file(path)
    assert file_id != empty
    assert stored(together, file_id) == path.read_bytes()
    assert the_file(together).id == file_id


def test_addresses_that_have_expired_are_asked_for_anew(together: Service, path: Path) -> None:
    def stop(sent: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together.client.upload_file(path, sending=PARTS, on_progress=stop)
    together.fault(STORAGE, status=403, times=1)
    file_id = together.client.upload_file(path, sending=PARTS)
    assert stored(together, file_id) == path.read_bytes()
    assert the_file(together).id == file_id


def test_a_redirect_of_the_storage_host_gets_the_bytes_again(together: Service, path: Path) -> None:
    together.fault(STORAGE, status=307, headers={"location": "http://storage.example/x"}, times=1)
    with pytest.raises(RequestRefusedError, match="without encryption"):
        together.client.upload_file(path)
    assert together.client.files() == []
    address: list[str] = []
    real = together.client._connection.respond

    def respond(*args: Any, **kwargs: Any) -> Any:
        response = real(*args, **kwargs)
        if "location" in response.headers:
            address.append(response.headers["location"])
            response.headers["location"] = f"{together.url}/_storage/files/moved"
            together.fault("/moved$", status=307, headers={"location": address[0]}, times=1)
        return response

    together.client._connection.respond = respond  # type: ignore[method-assign]
    file_id = together.client.upload_file(path)
    assert stored(together, file_id) == path.read_bytes()


def test_what_cannot_be_sent_is_said(together: Service, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.jsonl"):
        together.client.upload_file(tmp_path / "no.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="empty"):
        together.client.upload_file(tmp_path / "empty.jsonl")
    assert together.journal() == []


def test_parts_are_never_more_than_the_service_takes(together: Service, path: Path) -> None:
    together.client.upload_file(path, sending=Sending(multipart_above=1000, part_bytes=1000, max_parts=3))
    assert len(together.journal("PUT")) == 3


@pytest.mark.parametrize(
    ("how", "flaw"), [("invalid_format", "line 1: refused, as the sandbox was told to"), ("failed", "the check itself")]
)
def test_a_file_that_is_refused_says_why(together: Service, path: Path, how: str, flaw: str) -> None:
    together.behave(fail_file_check=how)
    file_id = together.client.upload_file(path)
    together.advance(60)
    file = together.client.file(file_id)
    assert (file.is_ready, file.is_refused, file.is_checked) == (False, True, True)
    assert flaw in file.flaw


def test_statuses_are_an_open_set() -> None:
    """In whatever letters; one that nobody knows is a check that goes on."""
    assert RemoteFile(id="f", processing_status="completed").is_ready
    new = RemoteFile(id="f", processing_status="Scanning")
    assert (new.is_ready, new.is_checked, new.is_refused) == (False, False, False)
    assert RemoteFile(id="f").is_ready
    invalid = RemoteFile.model_validate(
        {"id": "f", "processing_status": "COMPLETED", "validation_report": {"valid": False, "error": "why"}}
    )
    assert (invalid.is_ready, invalid.flaw) == (False, "why")


def test_another_client_goes_on_too(together: Service, path: Path) -> None:
    """What is remembered is on disk: the program was killed meanwhile."""

    def stop(sent: int, total: int) -> None:
        if sent > 8000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together.client.upload_file(path, sending=PARTS, on_progress=stop)
    assert record_path(path).stat().st_mode & 0o777 == 0o600
    other = TogetherClient(together.url, KEY)
    file_id = other.upload_file(path, sending=PARTS)
    other.close()
    assert stored(together, file_id) == path.read_bytes()
    assert the_file(together).id == file_id


@pytest.mark.parametrize("sending", [None, PARTS], ids=["whole", "parts"])
def test_a_check_that_broke_down_is_begun_anew(together: Service, path: Path, sending: Sending | None) -> None:
    together.behave(fail_file_check="failed")
    first = together.client.upload_file(path, sending=sending)
    together.advance(60)
    together.behave(fail_file_check="")
    second = together.client.upload_file(path, sending=sending)
    assert the_file(together).id == second != first
    together.advance(60)
    assert together.client.file(second).is_ready


def test_an_upload_that_was_killed_before_its_check_is_checked(together: Service, path: Path) -> None:
    together.fault(PREPROCESS, cut="before", times=2)
    with pytest.raises(UnreachableError):
        together.client.upload_file(path)
    assert the_file(together).processing_status == "PENDING"
    file_id = together.client.upload_file(path)
    assert (the_file(together).id, the_file(together).processing_status) == (file_id, "QUEUED")
    assert len(together.journal("PUT")) == 1
