"""Weights from elsewhere and from the client's disk: the statuses, the storage host, the deploy afterwards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import PROJECT, Api, deployments_of

_URL = "https://huggingface.co/someone/some-model"
_CONFIG = b'{"architectures": ["Qwen2ForCausalLM"]}'
_PARTS = [b"a" * 1000, b"b" * 10]


def _record(api: Api, kind: str = "model") -> dict[str, Any]:
    base = api.ok("GET", "/v2/supported-models", search="1.5b")["data"][0]["baseModelId"]
    return api.ok("POST", f"{PROJECT}/models", {"name": f"mine-{kind}", "baseModelId": base, "type": kind})  # type: ignore[no-any-return]


def _upload(api: Api, model: dict[str, Any]) -> dict[str, Any]:
    body = {"modelId": model["id"], "remoteUrl": _URL, "token": "hf_secret"}
    return api.ok("POST", f"{PROJECT}/models/uploads", body)  # type: ignore[no-any-return]


def _status(api: Api, upload: dict[str, Any]) -> str:
    shown = api.ok("GET", f"{PROJECT}/models/uploads/{upload['id']}")
    return shown["status"].removeprefix("REMOTE_UPLOAD_STATUS_")  # type: ignore[no-any-return]


def _revisions(api: Api, model: dict[str, Any]) -> list[dict[str, Any]]:
    return api.ok("GET", f"{PROJECT}/models/{model['id']}/revisions")["data"]  # type: ignore[no-any-return]


def _deploy(api: Api, model: dict[str, Any], revision: str = "") -> httpx.Response:
    endpoint = api.ok("GET", f"{PROJECT}/endpoints")["data"] or [api.endpoint()]
    path = f"projects/{model['projectId']}/models/{model['id']}" + (f"/revisions/{revision}" if revision else "")
    config = api.config(model)
    body = api.deployment_body() | {"model": path, "config": f"projects/{config['projectId']}/configs/{config['id']}"}
    return api.request("POST", deployments_of(endpoint[0]), body, validateOnly="true")


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_a_remote_upload_ends_in_a_model_that_can_be_deployed(api: Api, kind: str) -> None:
    model = _record(api, kind)
    upload = _upload(api, model)
    assert "token" not in upload
    assert _status(api, upload) == "PENDING"
    api.advance(10)
    assert _status(api, upload) == "RUNNING"
    assert _deploy(api, model).json()["error"]["message"] == "no revisions to deploy"
    api.advance(120)
    assert _status(api, upload) == "SUCCEEDED"
    (revision,) = _revisions(api, model)
    assert revision["validationStatus"] == "REVISION_VALIDATION_STATUS_PENDING"
    assert "lastValidatedAt" not in revision
    assert _deploy(api, model).json()["error"]["message"] == "no revisions to deploy"
    assert _deploy(api, model, revision["revisionId"]).status_code == 400
    api.advance(60)
    assert _revisions(api, model)[0]["validationStatus"] == "REVISION_VALIDATION_STATUS_SUCCESS"
    assert _deploy(api, model).status_code == 200
    told = api.ok("GET", f"{PROJECT}/models/uploads/{upload['id']}/events")["data"]
    assert [one["type"] for one in told] == ["upload.succeeded", "upload.running", "upload.pending"]
    assert api.ok("GET", f"{PROJECT}/models/uploads")["data"][0]["id"] == upload["id"]


def test_a_broken_upload_is_restarted(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"upload_errors": 2})
    upload = _upload(api, _record(api))
    api.advance(130)
    assert _status(api, upload) == "ERROR"
    api.advance(10)
    assert _status(api, upload) == "RUNNING"
    api.advance(1000)
    shown = api.ok("GET", f"{PROJECT}/models/uploads/{upload['id']}")
    assert (shown["status"], shown["restartCount"]) == ("REMOTE_UPLOAD_STATUS_SUCCEEDED", 2)


def test_an_upload_that_breaks_too_often_fails_for_good(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"upload_errors": 99})
    model = _record(api)
    upload = _upload(api, model)
    api.advance(86400)
    shown = api.ok("GET", f"{PROJECT}/models/uploads/{upload['id']}")
    assert (shown["status"], shown["restartCount"]) == ("REMOTE_UPLOAD_STATUS_FAILED", shown["maxRestarts"])
    assert _revisions(api, model) == []


def test_weights_that_do_not_fit_fail_validation(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"fail_validation": True})
    model = _record(api)
    _upload(api, model)
    api.advance(1000)
    (revision,) = _revisions(api, model)
    assert revision["validationStatus"] == "REVISION_VALIDATION_STATUS_FAILED"
    assert "architecture" in revision["validationErrors"][0]["message"]
    assert _deploy(api, model).status_code == 400


@pytest.mark.parametrize("url", ["http://huggingface.co/a/b", "a/b", "https://huggingface.co", 7])
def test_an_address_that_cannot_be_fetched_is_refused(api: Api, url: object) -> None:
    body = {"modelId": _record(api)["id"], "remoteUrl": url}
    assert api.error("POST", f"{PROJECT}/models/uploads", body)[0] == 400


def test_only_own_models_take_weights(api: Api) -> None:
    base = api.ok("GET", "/v2/supported-models")["data"][0]["baseModelId"]
    body = {"modelId": base, "remoteUrl": _URL}
    assert api.error("POST", f"{PROJECT}/models/uploads", body)[0] == 404
    assert api.error("GET", f"{PROJECT}/models/uploads/job_0")[0] == 404


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _plan(api: Api, model: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(the files of the answer, hash of each path)."""
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in _PARTS)
    hashes = {"config.json": _md5(_CONFIG), "model.safetensors": f"{_md5(digests)}-2"}
    files = [
        {"path": "config.json", "hash": hashes["config.json"], "numParts": 1},
        {"path": "model.safetensors", "hash": hashes["model.safetensors"], "numParts": 2},
    ]
    answer = api.ok("POST", f"{PROJECT}/models/upload/create", {"objectId": model["id"], "files": files})
    return answer["files"], hashes


def _put(part: dict[str, Any], data: bytes) -> httpx.Response:
    """To the storage host, which is not the service: without the key."""
    return httpx.put(part["url"], content=data, headers=part["headers"])


def _completed(file: dict[str, Any], digest: str, etags: list[str]) -> dict[str, Any]:
    parts = [{"partNumber": number, "hash": etag} for number, etag in enumerate(etags, start=1)]
    return {
        "path": file["path"],
        "hash": digest,
        "uploadDetails": {"uploadId": file["uploadId"], "parts": parts},
    }


def test_local_files_go_part_by_part_to_the_storage_host(api: Api) -> None:
    model = _record(api)
    files, hashes = _plan(api, model)
    finished = []
    for file, datas in zip(files, ([_CONFIG], _PARTS), strict=True):
        answers = [_put(part, data) for part, data in zip(file["parts"], datas, strict=True)]
        etags = [one.headers["etag"].strip('"') for one in answers]
        assert etags == [_md5(data) for data in datas]
        finished.append(_completed(file, hashes[file["path"]], etags))
    body = {"objectId": model["id"], "files": finished}
    revision = api.ok("POST", f"{PROJECT}/models/upload/complete", body)["revisionId"]
    shown = api.ok("GET", f"{PROJECT}/models/{model['id']}/files", revisionId=revision)
    assert {one["path"]: one["sizeBytes"] for one in shown["data"]} == {
        "config.json": str(len(_CONFIG)),
        "model.safetensors": "1010",
    }
    api.advance(60)
    assert _deploy(api, model, revision).status_code == 200

    again, _ = _plan(api, model)
    assert again == [{"path": path, "skipUpload": True} for path in hashes]
    skipped = [{"path": path, "hash": digest, "skipUpload": True} for path, digest in hashes.items()]
    body = {"objectId": model["id"], "files": skipped}
    assert api.ok("POST", f"{PROJECT}/models/upload/complete", body)["revisionId"] != revision


def test_parts_that_are_missing_or_differ_make_no_revision(api: Api) -> None:
    model = _record(api)
    files, hashes = _plan(api, model)
    _put(files[1]["parts"][0], _PARTS[0])
    path = f"{PROJECT}/models/upload/complete"
    partly = _completed(files[1], hashes["model.safetensors"], [_md5(_PARTS[0])])
    assert api.error("POST", path, {"objectId": model["id"], "files": [partly]})[0] == 400
    _put(files[1]["parts"][1], b"spoilt")
    spoilt = _completed(files[1], hashes["model.safetensors"], [_md5(_PARTS[0]), _md5(b"spoilt")])
    status, message = api.error("POST", path, {"objectId": model["id"], "files": [spoilt]})
    assert (status, "another hash" in message) == (400, True)
    assert api.error("POST", path, {"objectId": model["id"], "files": []})[0] == 400
    unknown = {"path": "config.json", "hash": hashes["config.json"], "skipUpload": True}
    assert api.error("POST", path, {"objectId": model["id"], "files": [unknown]})[0] == 400
    assert _revisions(api, model) == []


def test_the_storage_host_wants_its_signature_and_not_the_key(api: Api, server: SandboxServer) -> None:
    files, _ = _plan(api, _record(api))
    url = files[0]["parts"][0]["url"]
    assert url.startswith(server.url)
    assert httpx.put(url, content=b"x", headers={"authorization": "Bearer sandbox-key"}).status_code == 400
    assert httpx.put(url + "x", content=b"x").status_code == 403
    assert httpx.get(url).status_code == 403
    api.ok("POST", "/_sandbox/faults", {"path": "^/_storage/", "status": 503, "times": 1})
    assert [httpx.put(url, content=b"x").status_code for _ in range(2)] == [503, 200]
    sent = [one for one in api.ok("GET", "/_sandbox/requests") if one["method"] == "PUT"]
    assert [one["status"] for one in sent] == [400, 403, 503, 200]
    assert not any("body" in one for one in sent)


def test_weights_without_their_config_fail_validation(api: Api) -> None:
    model = _record(api)
    files, hashes = _plan(api, model)
    etags = [_put(part, data).headers["etag"].strip('"') for part, data in zip(files[1]["parts"], _PARTS, strict=True)]
    body = {"objectId": model["id"], "files": [_completed(files[1], hashes["model.safetensors"], etags)]}
    api.ok("POST", f"{PROJECT}/models/upload/complete", body)
    api.advance(60)
    (revision,) = _revisions(api, model)
    assert [one["message"] for one in revision["validationErrors"]] == ["config.json is missing"]


def test_an_upload_under_way_outlives_the_process(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.json"
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            model = _record(api)
            upload = _upload(api, model)
            files, _ = _plan(api, model)
            _put(files[0]["parts"][0], _CONFIG)
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            assert _status(api, upload) == "PENDING"
            api.advance(190)
            assert _revisions(api, model)[0]["validationStatus"] == "REVISION_VALIDATION_STATUS_SUCCESS"
