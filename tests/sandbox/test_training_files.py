"""The check of files to train on: every documented format passes, and what it refuses it refuses by line."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from reasoning_cli.sandbox.training_files import inspect, samples
from tests.sandbox.conftest import Api

_USER, _SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
_SYSTEM = {"role": "system", "content": "s"}
_ADD = {"name": "add", "arguments": "{}"}
_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": one, "function": _ADD} for one in "12"]}
_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
_TOOL = {"role": "tool", "content": "t", "tool_call_id": "1"}
_PAIR = {"preferred_output": [_SAID], "non_preferred_output": [{"role": "assistant", "content": "b"}]}


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def talk(*messages: object, **members: object) -> dict[str, Any]:
    return {"messages": list(messages), **members}


@pytest.mark.parametrize(
    ("row", "form"),
    [
        (talk(_USER, _SAID), "conversation"),
        (talk(_SYSTEM, _USER, _SAID, _USER, _SAID, weight=0.5), "conversation"),
        (talk(_USER, _SAID | {"weight": 0}, _USER, _SAID | {"weight": 1, "reasoning": "r"}), "conversation"),
        (talk(_USER, _CALL, _TOOL, _TOOL, _SAID, tools=[{"function": _ADD}]), "conversation"),
        (
            talk({"role": "user", "content": [{"type": "text", "text": "x"}, _IMAGE]}, _SAID),
            "conversation",
        ),
        ({"prompt": "p", "completion": "c"}, "instruction"),
        ({"text": "t"}, "general"),
        ({"input": talk(_SYSTEM, _USER), **_PAIR}, "preference_openai"),
    ],
)
def test_every_format_passes(row: dict[str, Any], form: str) -> None:
    found = inspect("file-1", "jsonl", lines(row, row) + b"\n  \n")
    assert found.report["valid"], found.report
    assert (found.report["dataset_format"], found.report["nlines"], found.lines) == (form, 2, 2)
    assert found.tokens > 0


def test_the_report_says_what_is_in_the_file() -> None:
    weighted = inspect("f", "jsonl", lines(talk(_USER, _SAID | {"weight": 1}, weight=2))).report
    assert (weighted["dataset_has_message_weights"], weighted["dataset_has_sample_weights"]) == (True, True)
    tools = inspect("f", "jsonl", lines(talk(_USER, _CALL, _TOOL, _SAID, tools=[{"function": _ADD}]))).report
    assert (tools["dataset_has_tools"], tools["dataset_has_parallel_tool_calls"]) == (True, True)
    assert not tools["dataset_is_multimodal"]


@pytest.mark.parametrize(
    ("row", "flaw"),
    [
        (talk(), "messages must be a list"),
        (talk(_SAID), "must begin with system or user"),
        (talk(_USER), "at least one of the assistant"),
        (talk(_USER, _USER, _SAID), "must alternate"),
        (talk(_USER, _SAID, _SAID), "must alternate"),
        (talk(_USER, _SYSTEM, _SAID), "a system message must be the first"),
        (talk(_SYSTEM, _SAID), "assistant follows system"),
        (talk(_USER, _TOOL, _SAID), "tool follows user"),
        (talk(_USER, {"role": "model", "content": "a"}), "unknown role"),
        (talk(_USER, {"role": "assistant", "content": 7}), "content must be a text"),
        (talk(_USER | {"weight": 1}, _SAID), "weight is 0 or 1, of the assistant"),
        (talk(_USER, _SAID, weight=-1), "weight must be"),
        ({"prompt": "", "completion": "c"}, "texts that are not empty"),
        ({"question": "q"}, "no known format"),
        ({"text": "t", "prompt": "p", "completion": "c"}, "both"),
        ({"input": talk(_USER), "preferred_output": [_SAID], "non_preferred_output": []}, "a list of one message"),
        ({"input": talk(_USER, _SAID), **_PAIR}, "must not end with the assistant"),
        ({"input": [], **_PAIR}, "an object with messages"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(row: dict[str, Any], flaw: str) -> None:
    report = inspect("file-1", "jsonl", lines(talk(_USER, _SAID)) * 2 + lines(row)).report
    assert (report["valid"], report["error_type"]) == (False, "INVALID_FORMAT")
    assert str(report["error"]).startswith("line 3: ")
    assert flaw in str(report["error"]) or "among conversation" in str(report["error"])
    alone = inspect("file-1", "jsonl", lines(row)).report
    assert flaw in str(alone["error"])


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", "no samples"),
        (b"\n\n", "no samples"),
        (b"{", "line 1: not JSON"),
        (b"[]\n", "line 1: not a JSON object"),
        (b'{"text": "\xff"}', "line 1: not UTF-8"),
        (lines({"text": "t"}, {"prompt": "p", "completion": "c"}), "line 2: instruction among general"),
        (b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_what_is_no_file_of_samples_is_refused(content: bytes, flaw: str) -> None:
    assert flaw in str(inspect("file-1", "jsonl", content).report["error"])


def test_samples_are_the_last_question_and_its_answer() -> None:
    rows = lines(talk(_SYSTEM, _USER, _SAID, {"role": "user", "content": "q2"}, {"role": "assistant", "content": "a2"}))
    assert [(one.prompt, one.answer, one.worse) for one in samples(rows)] == [("q2", "a2", "")]
    assert [(one.prompt, one.answer) for one in samples(lines({"prompt": "p", "completion": "c"}))] == [("p", "c")]
    (pair,) = samples(lines({"input": talk(_USER), **_PAIR}))
    assert (pair.prompt, pair.answer, pair.worse) == ("q", "a", "b")


def test_what_is_registered_is_checked(api: Api) -> None:
    def register(**members: str) -> httpx.Response:
        form = {"purpose": "fine-tune", "file_name": "a.jsonl", "file_type": "jsonl", "checksum": "0" * 64} | members
        return api.http.post("/v1/files", files={name: (None, value) for name, value in form.items()})

    for members in ({"purpose": "fun"}, {"file_type": "txt"}, {"file_name": ""}, {"checksum": "0"}):
        assert register(**members).status_code == 400
    assert api.http.post("/v1/files", json={"purpose": "fine-tune"}).status_code == 400
    given = register()
    file_id, address = given.headers["x-together-file-id"], given.headers["location"]
    assert given.status_code == 302
    assert register().headers["x-together-file-id"] == file_id, "registered twice, it is one file"
    assert api.error("POST", f"/v1/files/{file_id}/preprocess")[0] == 400
    assert api.error("GET", f"/v1/files/{file_id}/content")[0] == 400
    bare = httpx.Client(trust_env=False)
    with bare:
        assert bare.put(address, content=b"other bytes").status_code == 400
        assert bare.put(address.replace("signature=", "signature=x"), content=b"x").status_code == 403
        assert api.http.put(address, content=b"x").status_code == 400, "the key must not be sent"
        assert bare.put(f"{address.partition('?')[0]}/1?{address.partition('?')[2]}", content=b"x").status_code == 404
        data = lines(talk(_USER, _SAID))
        good = register(checksum=hashlib.sha256(data).hexdigest())
        assert bare.put(good.headers["location"], content=data).headers["etag"]
    known = good.headers["x-together-file-id"]
    again = register(checksum=hashlib.sha256(data).hexdigest())
    assert (again.status_code, again.json()) == (409, {"file_id": known})
    for_batches = register(purpose="batch-api", checksum=hashlib.sha256(data).hexdigest())
    assert for_batches.status_code == 302, "for another purpose it is another file"
    httpx.put(for_batches.headers["location"], content=data, trust_env=False)
    done = api.ok("POST", f"/v1/files/{for_batches.headers['x-together-file-id']}/preprocess")
    assert done["processing_status"] == "COMPLETED", "what is not trained on is not checked"


def test_parts_must_be_what_was_announced(api: Api) -> None:
    body = {"file_name": "a.jsonl", "purpose": "fine-tune", "file_type": "jsonl", "checksum": "0" * 64, "file_size": 8}
    assert api.error("POST", "/v1/files/multipart/initiate", body | {"num_parts": 251})[0] == 400
    assert api.error("POST", "/v1/files/multipart/initiate", body | {"num_parts": 0})[0] == 400
    begun = api.ok("POST", "/v1/files/multipart/initiate", body | {"num_parts": 2})
    ids = {"upload_id": begun["upload_id"], "file_id": begun["file_id"]}
    assert api.error("POST", "/v1/files/multipart/complete", ids | {"parts": []})[0] == 400
    parts = []
    for one in begun["parts"]:
        etag = httpx.put(one["URL"], content=b"data", trust_env=False).headers["etag"].strip('"')
        parts.append({"part_number": one["PartNumber"], "etag": etag})
    assert api.error("POST", "/v1/files/multipart/complete", ids | {"parts": parts})[1].startswith("what arrived")
    assert api.request("POST", "/v1/files/multipart/abort", ids).status_code == 200
    assert api.error("POST", "/v1/files/multipart/abort", ids)[0] == 404
    assert api.ok("GET", "/v1/files")["data"] == []
