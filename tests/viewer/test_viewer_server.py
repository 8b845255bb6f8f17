"""What the viewer's server and its command refuse, and what they allow the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.commands import view as command
from rlvr.types import DataError
from rlvr.viewer.library import Library
from tests.viewer_runs import SOURCE, Viewed, make_run


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    folder = tmp_path_factory.mktemp("name") / "date"
    made = make_run(folder)
    with Library([folder]) as library:
        yield Viewed(folder, made, library)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.0.1"])
def test_other_hosts_are_refused(viewed: Viewed, host: str) -> None:
    for path in ("/", "/api/runs", "/static/app.js"):
        assert viewed.client.get(path, headers={"host": f"{host}:8765"}).status_code == 400
    assert viewed.client.get("/api/runs", headers={"host": "localhost:9000"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get(viewed: Viewed, method: str) -> None:
    for path in ("/", "/api/runs", "/static/app.js", "/nowhere"):
        assert viewed.client.request(method, path).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_other_file_is_served(viewed: Viewed, path: str) -> None:
    assert viewed.client.get(path).status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"stage": "../../etc"},
        {"run": 1},
        {"run": -1},
        {"kind": "heldout"},
        {"part": 'x" OR 1=1 --'},
        {"kind": "../train"},
        {"sort": "text; DROP TABLE x"},
        {"limit": 10_000},
        {"offset": -1},
        {"offset": 10**30},
        {"step_min": "x"},
    ],
)
def test_bad_parameters_get_an_answer(viewed: Viewed, given: dict[str, Any]) -> None:
    answer = viewed.client.get("/api/rollouts", params={**SOURCE, **given})
    assert answer.status_code in (404, 422)
    assert "error" in answer.json() or "detail" in answer.json()


def test_a_metric_that_is_not_there(viewed: Viewed) -> None:
    answer = viewed.client.get("/api/curve", params={**SOURCE, "metric": "train/rewards"})
    assert answer.status_code == 404
    assert "train/reward," in answer.json()["error"]


@pytest.mark.parametrize(("step", "row"), [(99, 0), (1, 99), (1, -1)])
def test_a_rollout_that_is_not_there(viewed: Viewed, step: int, row: int) -> None:
    answer = viewed.client.get("/api/rollout", params={**SOURCE, "step": step, "row": row})
    assert answer.status_code == 404
    assert f"step_{step:06d}" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/api/runs", "/static/app.js", "/nowhere"])
def test_the_page_may_load_nothing_from_elsewhere(viewed: Viewed, path: str) -> None:
    headers = viewed.client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


# ---------------------------------------------------------------- the command


def test_a_run_without_a_journal_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rl").mkdir()
    (tmp_path / "rl" / "metrics.jsonl").touch()
    (tmp_path / "config.yaml").write_text("stages: [rl]\n")
    assert command.main([str(tmp_path), "--no-browser"]) == 2
    assert "record.journal" in capsys.readouterr().err
    assert command.main([str(tmp_path / "missing"), "--no-browser"]) == 2
    assert "missing" in capsys.readouterr().err
    with pytest.raises(DataError):
        Library([tmp_path])


def test_only_this_machine_is_listened_to_and_a_taken_port_is_refused(
    viewed: Viewed, capsys: pytest.CaptureFixture[str]
) -> None:
    with command._listen(0) as taken:
        address, port = taken.getsockname()
        assert address == "127.0.0.1"
        assert command.main([str(viewed.folder), "--no-browser", "--port", str(port)]) == 2
        assert f"--port {port}" in capsys.readouterr().err
    assert command.main([str(viewed.folder), "--no-browser", "--port", "70000"]) == 2
