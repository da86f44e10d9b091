"""What the server answers, and what it says to bad input: one line of JSON, and it serves on."""

import base64
import io
import json
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from classifier.apps.predictions import Prediction, classify
from classifier.serve import exported
from classifier.serve.answer_log import AnswerLog
from classifier.serve.api import create_api
from classifier.serve.models import Models
from classifier.serve.monitoring import Monitoring
from classifier.serve.pictures import Bounds
from classifier.serving.loading import load_classifier
from conftest import CLASSES, png, write_exported

CLASSIFY = "/v1/models/tiny/classify"
BOUNDS = Bounds(size=200_000, files=4, pixels=250_000, seconds=5)
TOKEN = "a-long-and-random-text"
ROSE = png(CLASSES["red"], seed=1)


class Served:
    """A server in this process, of one exported model."""

    def __init__(self, folder: Path, **options: Any):
        self.folder = write_exported(folder / "exports" / "tiny")
        self.monitoring = Monitoring()
        self.models = Models(
            [folder / "exports"], [], batch=8, every=3600, monitoring=self.monitoring
        )
        self.models.take_folders()
        defaults: dict[str, Any] = {"bounds": BOUNDS, "queue": 8, "monitoring": self.monitoring}
        self.api = create_api(self.models, **defaults | options)


@contextmanager
def client_of(served: Served) -> Iterator[TestClient]:
    with TestClient(served.api, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(Served(tmp_path_factory.mktemp("served"))) as client:
        yield client


def encoded(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def pictures() -> dict[str, bytes]:
    colours = np.random.default_rng(3).integers(0, 256, (50, 90, 4), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = io.BytesIO()
    Image.fromarray(colours[..., :3]).save(jpeg, "JPEG", exif=turned)
    return {
        "red.png": ROSE,
        "clear.png": encoded(Image.fromarray(colours), "PNG"),
        "grey.gif": encoded(Image.fromarray(colours[..., 0]), "GIF"),
        "turned.jpg": jpeg.getvalue(),
    }


def test_answers_are_those_of_classify(shared: TestClient, tmp_path: Path) -> None:
    files = pictures()
    folder = write_exported(tmp_path / "tiny")
    classifier = load_classifier(folder)
    answered = list(classify(classifier, files, lambda name: files[name], top=2, workers=2))
    expected = [answer for answer in answered if isinstance(answer, Prediction)]
    assert len(expected) == len(files)
    form = [("image", (name, content)) for name, content in files.items()]
    texts = [base64.b64encode(content).decode() for content in files.values()]
    one_by_one = [
        shared.post(f"{CLASSIFY}?top=2", content=content, headers={"Content-Type": "image/jpeg"})
        for content in files.values()
    ]
    ways = [
        shared.post(f"{CLASSIFY}?top=2", files=form).json()["answers"],
        shared.post(f"{CLASSIFY}?top=2", json={"images": texts}).json()["answers"],
        [reply.json()["answers"][0] for reply in one_by_one],
    ]
    assert [answer["file"] for answer in ways[0]] == list(files)
    for answers in ways:
        for answer, prediction in zip(answers, expected, strict=True):
            top = [(guess["class"], guess["probability"]) for guess in answer["top"]]
            assert [name for name, _ in top] == [name for name, _ in prediction.top]
            np.testing.assert_allclose(
                [share for _, share in top], [share for _, share in prediction.top], atol=1e-6
            )
            assert (answer["class"], answer["probability"]) == top[0]
            assert answer["accepted"] is True


def test_an_answer_names_its_model_and_its_request(shared: TestClient) -> None:
    reply = shared.post(CLASSIFY, files={"image": ROSE}, headers={"X-Request-ID": "holiday-7"})
    (model,) = shared.get("/v1/models").json()["models"]
    assert reply.json()["model"] == {"name": "tiny", "version": model["version"]}
    assert reply.json()["request_id"] == reply.headers["x-request-id"] == "holiday-7"
    strange = shared.post(CLASSIFY, files={"image": ROSE}, headers={"X-Request-ID": "a b"})
    assert len(strange.json()["request_id"]) == 32


def test_a_model_describes_itself(shared: TestClient) -> None:
    (model,) = shared.get("/v1/models").json()["models"]
    assert model == shared.get("/v1/models/tiny").json()
    assert model["classes"] == sorted(CLASSES)
    assert model["metrics"] == {"accuracy": 0.75}
    assert model["runtime"] == "onnx"
    assert model["card"]["preprocessing"]["fit"] == "crop"
    assert model["problem"] is None


def test_the_page_of_the_interface_loads_nothing_from_elsewhere(shared: TestClient) -> None:
    page = shared.get("/").text
    assert "swagger-ui-bundle.js" in page
    assert "//cdn" not in page and "https://" not in page
    content = shared.get("/openapi.json").json()["paths"]["/v1/models/{name}/classify"]
    form = content["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"]["items"]["format"] == "binary"


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in less than 3 kB."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(3751 * 300))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> dict[str, Any]:
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        + part
        + b"\r\n"
        for part in parts
    )
    return {
        "content": body + end,
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


def json_body(text: str) -> dict[str, Any]:
    return {"content": text, "headers": {"Content-Type": "application/json"}}


def raw(content: Any, kind: str = "image/jpeg") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


BAD: dict[str, tuple[Callable[[], dict[str, Any]], int, str]] = {
    "a text named .jpg": (
        lambda: {"files": {"image": ("rose.jpg", b"a text")}},
        422,
        "rose.jpg cannot be read: it is not a JPEG, PNG",
    ),
    "half a picture": (lambda: raw(ROSE[: len(ROSE) // 2]), 422, "image 1 cannot be read: "),
    "a bomb": (lambda: raw(bomb()), 413, "image 1 has more than 250,000 pixels"),
    "too many pixels": (
        lambda: raw(encoded(Image.new("L", (501, 500)), "PNG")),
        413,
        "image 1 has more than 250,000 pixels",
    ),
    "an empty body": (lambda: raw(b""), 400, "the request has no picture"),
    "an empty form": (lambda: form(), 400, "the request has no picture"),
    "an empty file": (lambda: form(b""), 422, "a cannot be read: it is not"),
    "10,000 files": (
        lambda: {"files": [("image", ("a", b"x"))] * 10_000} | {},
        413,
        "the request has more than",
    ),
    "5 files of 4": (lambda: form(*[ROSE] * 5), 413, "more than 4 pictures"),
    "5 pictures of 4 in JSON": (
        lambda: {"json": {"images": ["AAAA"] * 5}},
        413,
        "more than 4 pictures",
    ),
    "too many bytes": (lambda: raw(bytes(200_001)), 413, "more than 200,000 bytes"),
    "too many bytes, not announced": (
        lambda: raw(bytes(50_000) for _ in range(5)),
        413,
        "more than 200,000 bytes",
    ),
    "a broken form": (lambda: form(ROSE, end=b""), 400, "the form is damaged: it breaks off"),
    "a form without a boundary": (
        lambda: raw(ROSE, "multipart/form-data"),
        400,
        "the form is damaged: Missing boundary",
    ),
    "a field that is no file": (
        lambda: {"data": {"image": "rose.jpg"}, "files": {"b": ROSE}},
        400,
        "the field image has no file: with curl, write image=@FILE",
    ),
    "broken JSON": (lambda: json_body('{"image": '), 400, "the body is not JSON"),
    "deep JSON": (lambda: json_body("[" * 100_000), 400, "the body is not JSON"),
    "other JSON": (lambda: json_body('{"url": "http://x"}'), 400, "the JSON must be"),
    "not base64": (lambda: json_body('{"image": "ä"}'), 400, "image 1 is not base64"),
    "an unknown content type": (lambda: raw(ROSE, "text/csv"), 415, "the content type is text/csv"),
    "no class asked for": (lambda: {"files": {"image": ROSE}, "params": {"top": 0}}, 422, "top: "),
}


@pytest.mark.fault("bad input to the server", "one line of JSON, its status; it serves on")
@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_gets_one_line_and_the_server_serves_on(shared: TestClient, case: str) -> None:
    make, status, message = BAD[case]
    reply = shared.post(CLASSIFY, **make())
    error = reply.json()
    assert (reply.status_code, set(error)) == (status, {"error", "request_id"}), error
    assert message in error["error"]
    assert "\n" not in error["error"]
    assert shared.post(CLASSIFY, files={"image": ROSE}).json()["answers"][0]["class"] == "red"


@pytest.mark.fault("an unknown model, path or method", "one line of JSON, 404 or 405")
def test_unknown_places(shared: TestClient) -> None:
    for method, path, status, message in (
        ("POST", "/v1/models/tinyy/classify", 404, "no model 'tinyy': did you mean 'tiny'?"),
        ("GET", "/v1/models/other", 404, "no model 'other': valid: tiny"),
        ("GET", "/v2", 404, "there is no /v2: see /docs"),
        ("GET", CLASSIFY, 405, f"GET is not for {CLASSIFY}: see /docs"),
    ):
        reply = shared.request(method, path)
        assert (reply.status_code, reply.json()["error"]) == (status, message)


@pytest.mark.fault("a wrong token, or none", "401; /healthz and /readyz need none")
def test_a_token_is_needed_where_there_is_one(tmp_path: Path) -> None:
    with client_of(Served(tmp_path, token=TOKEN)) as client:
        for headers, message in (
            ({}, "a token is needed"),
            ({"Authorization": "Bearer wrong"}, "the token is wrong"),
            ({"Authorization": f"Basic {TOKEN}"}, "a token is needed"),
        ):
            for path in ("/v1/models", "/metrics"):
                assert client.get(path, headers=headers).status_code == 401
            reply = client.post(CLASSIFY, files={"image": ROSE}, headers=headers)
            assert reply.status_code == 401
            assert reply.json()["error"].startswith(message)
            assert reply.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post(CLASSIFY, files={"image": ROSE}, headers=right).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


@pytest.mark.fault("more pictures than the queue has places", "429 with Retry-After")
def test_a_full_queue(tmp_path: Path) -> None:
    with client_of(Served(tmp_path, queue=2)) as client:
        reply = client.post(CLASSIFY, files=[("image", ROSE)] * 3)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
        assert reply.json()["error"].startswith("the server is busy: ")
        assert client.post(CLASSIFY, files=[("image", ROSE)] * 2).status_code == 200


def test_bytes_in_memory_are_bounded_and_given_back(tmp_path: Path) -> None:
    with client_of(Served(tmp_path, bounds=Bounds(held=2 * len(ROSE)))) as client:
        for _ in range(3):
            assert client.post(CLASSIFY, **raw(ROSE * 3)).status_code == 429
            assert client.post(CLASSIFY, **raw(ROSE)).status_code == 200


@pytest.mark.fault("a model fails at a request", "500, one line; the others are answered")
def test_a_failure_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(tmp_path)
    with client_of(served) as client:
        with monkeypatch.context() as patch:
            current = served.models.of("tiny")
            patch.setattr(current.batches, "_answer", lambda images: 1 / 0)
            reply = client.post(CLASSIFY, files={"image": ROSE})
        assert reply.status_code == 500
        assert reply.json()["error"] == "the server failed: its console says why"
        assert client.post(CLASSIFY, files={"image": ROSE}).status_code == 200


@pytest.mark.fault("a model's folder disappears while serving", "what was loaded answers on")
def test_a_model_that_disappears(tmp_path: Path) -> None:
    served = Served(tmp_path)
    with client_of(served) as client:
        shutil.rmtree(served.folder)
        served.models.take_folders()
        assert client.post(CLASSIFY, files={"image": ROSE}).status_code == 200


def test_a_new_version_is_taken(tmp_path: Path) -> None:
    served = Served(tmp_path)
    with client_of(served) as client:
        before = client.post(CLASSIFY, files={"image": ROSE}).json()
        served.models.take_folders()
        assert client.post(CLASSIFY, files={"image": ROSE}).json()["model"] == before["model"]
        write_exported(served.folder, sharpness=0.02)
        served.models.take_folders()
        after = client.post(CLASSIFY, files={"image": ROSE}).json()
        assert after["model"]["version"] != before["model"]["version"]
        assert after["answers"][0]["probability"] > before["answers"][0]["probability"]
        write_exported(served.folder.with_name("second"))
        served.models.take_folders()
        assert [model.name for model in served.models] == ["second", "tiny"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a damaged file": (lambda f: (f / "model.onnx").write_bytes(b"x"), "cannot be loaded: "),
    "no runtime's file": (
        lambda f: (f / "model.onnx").rename(f / "saved_model.pb"),
        "has no model.tflite or model.onnx: add litert to export.runtimes",
    ),
    "other classes": (
        lambda f: (f / "assets" / "classes.txt").write_text("a\n"),
        "has 1 class names, but the model has 3 outputs",
    ),
}


@pytest.mark.fault("a new version is damaged", "one line; the version before answers on")
@pytest.mark.parametrize("case", list(DAMAGE))
def test_a_damaged_version_is_not_taken(
    tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(tmp_path)
    damage, message = DAMAGE[case]
    damage(served.folder)
    with client_of(served) as client:
        for _ in range(2):
            served.models.take_folders()
        (line,) = [record.message for record in caplog.records if message in record.message]
        assert line.startswith(f"{served.folder} ")
        assert line.endswith(" answers on")
        assert message in client.get("/v1/models/tiny").json()["problem"]
        assert client.post(CLASSIFY, files={"image": ROSE}).status_code == 200
        write_exported(served.folder)
        served.models.take_folders()
        assert client.get("/v1/models/tiny").json()["problem"] is None


def test_metrics(tmp_path: Path) -> None:
    with client_of(Served(tmp_path)) as client:
        client.post(CLASSIFY, files=[("image", ROSE)] * 2)
        client.post("/v1/models/tinyy/classify")
        page = client.get("/metrics").text
    for line in (
        'classifier_requests_total{route="/v1/models/{name}/classify",status="200"} 1.0',
        'classifier_requests_total{route="/v1/models/{name}/classify",status="404"} 1.0',
        'classifier_pictures_total{accepted="true",model="tiny",predicted="red"} 2.0',
        'classifier_stage_seconds_count{stage="predict"} 1.0',
        "classifier_pictures_waiting 0.0",
        "classifier_batch_pictures_sum 2.0",
    ):
        assert line in page.splitlines()


def test_each_picture_is_a_line_of_the_log(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with client_of(Served(tmp_path, log=AnswerLog(file, lambda lines: None))) as client:
        reply = client.post(
            CLASSIFY, files=[("image", ("a.png", ROSE)), ("image", ("b.png", ROSE))]
        )
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["file"] for line in lines] == ["a.png", "b.png"]
    assert {line["request_id"] for line in lines} == {reply.json()["request_id"]}
    assert lines[0]["class"] == "red"
    assert sum(lines[0]["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert lines[0]["score"] is None  # this model was exported without


@pytest.mark.fault("the disk of the server's log is full", "one line; answers go on")
def test_a_full_disk_stops_the_log_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    served = Served(tmp_path)
    file = tmp_path / "answers.jsonl"
    file.symlink_to("/dev/full")
    log = AnswerLog(file, served.monitoring.lost_lines.inc)
    served.api = create_api(
        served.models, bounds=BOUNDS, queue=8, monitoring=served.monitoring, log=log
    )

    def lost() -> float | None:
        return served.monitoring.registry.get_sample_value("classifier_log_lines_lost_total")

    with client_of(served) as client:
        for wanted in (1, 2):
            assert client.post(CLASSIFY, files={"image": ROSE}).status_code == 200
            deadline = time.monotonic() + 10
            while lost() != wanted:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        file.unlink()
        client.post(CLASSIFY, files={"image": ROSE})
    assert [record.message for record in caplog.records if "answers.jsonl" in record.message] == [
        f"{file} cannot be written (No space left on device): answers go on without it",
        f"{file} is written again",
    ]
    (line,) = [line for line in file.read_text().splitlines() if line]
    assert json.loads(line)["class"] == "red"


def test_a_folder_that_changes_while_it_is_read_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_exported(tmp_path / "tiny")
    copy = shutil.copytree

    def slowly(*words: Any, **options: Any) -> Any:
        copied = copy(*words, **options)
        (folder / "runtimes.csv").write_text("")
        return copied

    monkeypatch.setattr(exported.shutil, "copytree", slowly)
    with pytest.raises(exported.InputError, match="changes at this moment"):
        exported.load("tiny", folder)
