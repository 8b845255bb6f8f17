"""A teacher at an endpoint that fails on purpose: nothing is lost, and nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Reply, http_server, kill_after, said, user

from rlvr.base.endpoint import ChatEndpoint, ChatReply, EndpointError, Failed, read_reply
from rlvr.base.keys import key
from rlvr.rollout.answers import AnswerFile, TeacherAnswer
from rlvr.rollout.endpoint import EndpointRequests, EndpointTeacher, Pace, Question
from rlvr.types import ConfigError, DataError, FinishReason, RlvrError

Asked = tuple[str, int]  # the user message and the seed


def echo(number: int, asked: Asked) -> Reply:
    return said(f"{asked[0]}: {asked[1]}", usage={"completion_tokens": 7}, model="m-2026")


@dataclass
class Server:
    """Replies to the request with a number (from 0) as `reply` says; counts what it was asked."""

    url: str = ""
    reply: Callable[[int, Asked], Reply] = echo
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answered: Counter[Asked] = field(default_factory=Counter)
    came: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Reply:
        assert path == "/v1/chat/completions"
        asked = (body["messages"][-1]["content"], body.get("seed", -1))
        with self.came:
            number = len(self.bodies)
            self.bodies.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self.came.notify_all()
        reply = self.reply(number, asked)
        if reply[0] == 200 and isinstance(reply[2], str) and reply[2].startswith('{"'):
            with self.came:
                self.answered[asked] += 1
        return reply

    def wait_for(self, requests: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.bodies) >= requests, 30)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with http_server(state.answer) as state.url:
        yield state


def config(server: Server, **more: Any) -> EndpointRequests:
    given = {"base_url": server.url, "model": "m", "backoff": 0.001, "concurrency": 4, "timeout": 20.0}
    return EndpointRequests(**{**given, **more})


def said_by(question: Question) -> str:
    return question.messages[-1]["content"]


def questions(problems: int, samples: int = 1) -> list[Question]:
    return [
        Question(f"p{problem}", sample, user(f"question {problem}"), key(0, problem, sample))
        for problem in range(problems)
        for sample in range(samples)
    ]


def ask(
    asking: EndpointRequests, folder: Path, asked: list[Question], stopped: Callable[[], bool] = lambda: False
) -> list[TeacherAnswer]:
    with EndpointTeacher(asking, folder) as teacher:
        return list(teacher.answers(asked, stopped))


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_bytes().splitlines()]


def named(answers: list[TeacherAnswer]) -> list[tuple[str, int]]:
    return [(answer.problem_id, answer.sample) for answer in answers]


class TestRequests:
    def test_what_is_sent_and_what_is_kept(self, server: Server, tmp_path: Path) -> None:
        settings = config(server, max_tokens=33, temperature=0.5, top_p=0.9)
        asked = [{"role": "system", "content": "Be brief."}, *user("What is 6 · 7?")]
        (answer,) = ask(settings, tmp_path, [Question("p", 3, asked, 11)])
        assert server.bodies == [
            {
                "model": "m",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "What is 6 · 7?"},
                ],
                "max_tokens": 33,
                "temperature": 0.5,
                "top_p": 0.9,
                "seed": 11,
            }
        ]
        assert "Authorization" not in server.headers[0]
        assert answer == TeacherAnswer("p", 3, "What is 6 · 7?: 11", FinishReason.STOP, 7, "m-2026")
        (row,) = recorded(tmp_path)
        assert (row["text"], row["server_finish_reason"]) == (answer.text, "stop")

    def test_extra_body_adds_replaces_and_takes_out(self, server: Server, tmp_path: Path) -> None:
        extra = {"seed": None, "max_tokens": None, "max_completion_tokens": 5, "chat": {"think": True}}
        ask(config(server, extra_body=extra), tmp_path, questions(1))
        body = server.bodies[0]
        assert not {"seed", "max_tokens"} & set(body)
        assert (body["max_completion_tokens"], body["chat"]) == (5, {"think": True})

    def test_text_that_utf8_cannot_hold_is_asked_and_kept(self, server: Server, tmp_path: Path) -> None:
        server.reply = lambda *_: said("a\ud800\u2028\0😀\nb")
        for _ in range(2):
            (answer,) = ask(config(server), tmp_path, [Question("p\udfff", 0, user("a\ud800b"), 0)])
            assert (answer.problem_id, answer.text) == ("p\udfff", "a?\u2028\0😀\nb")
        assert [body["messages"][0]["content"] for body in server.bodies] == ["a?b"]

    @pytest.mark.parametrize(
        ("reply", "text", "finish"),
        [
            (said("42", reasoning_content="6 · 7"), "<think>\n6 · 7\n</think>\n42", "stop"),
            (said("42", reasoning="6 · 7"), "<think>\n6 · 7\n</think>\n42", "stop"),
            (said(None, reasoning="6 ·", finish_reason="length"), "<think>\n6 ·", "length"),
            (said("4", reasoning="6", finish_reason="length"), "<think>\n6\n</think>\n4", "length"),
            (said("", reasoning="6 · 7"), "<think>\n6 · 7\n</think>\n", "stop"),
            (said("<think>6</think>4", reasoning_content=None), "<think>6</think>4", "stop"),
            (said("4", finish_reason="content_filter"), "4", "length"),
            (said("4", finish_reason=None), "4", "length"),
            (said(""), "", "stop"),
        ],
    )
    def test_reasoning_and_ends(
        self, server: Server, tmp_path: Path, reply: Reply, text: str, finish: str
    ) -> None:
        server.reply = lambda *_: reply
        (answer,) = ask(config(server), tmp_path, questions(1))
        assert (answer.text, answer.finish_reason) == (text, FinishReason(finish))
        assert (answer.completion_tokens, answer.model) == (None, None)

    def test_answers_come_while_others_are_under_way(self, server: Server, tmp_path: Path) -> None:
        first_seen = threading.Event()

        def reply(number: int, asked: Asked) -> Reply:
            if asked[0] == "question 0":
                assert first_seen.wait(10)
            return echo(number, asked)

        server.reply = reply
        with EndpointTeacher(config(server, concurrency=2), tmp_path) as teacher:
            answers = teacher.answers(questions(2))
            assert next(answers).problem_id == "p1"
            first_seen.set()
            assert [answer.problem_id for answer in answers] == ["p0"]

    def test_concurrency(self, server: Server, tmp_path: Path) -> None:
        """With a barrier for three, six questions pass only if three are asked at once, and never four."""
        barrier, lock, inside, most = threading.Barrier(3), threading.Lock(), [0], [0]

        def reply(number: int, asked: Asked) -> Reply:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            barrier.wait(10)
            with lock:
                inside[0] -= 1
            return echo(number, asked)

        server.reply = reply
        assert len(ask(config(server, concurrency=3), tmp_path, questions(6))) == 6
        assert most == [3]


class TestFailures:
    @pytest.mark.parametrize(
        "failure",
        [
            (429, {"retry-after": "0"}, "slow down"),
            (500, {}, "oh"),
            (0, {}, ""),  # the connection is closed
            (200, {"content-length": "5000"}, '{"choices": [{"mess'),  # and closed in the middle
            (200, {"content-encoding": "gzip"}, "no gzip"),
            (200, {}, '{"choices": [{"mess'),
            (200, {}, "[" * 100_000),
            (200, {}, "null"),
            said(None),
            said(["x"]),
            said("half of it", finish_reason="abort"),
        ],
    )
    def test_what_may_pass_is_tried_again(self, server: Server, tmp_path: Path, failure: Reply) -> None:
        server.reply = lambda number, asked: failure if number < 2 else echo(number, asked)
        (answer,) = ask(config(server, retries=2), tmp_path, questions(1))
        assert answer.text.startswith("question 0")
        assert len(server.bodies) == 3

    def test_an_endpoint_that_fails_now_and_then(self, server: Server, tmp_path: Path) -> None:
        release = threading.Event()

        def reply(number: int, asked: Asked) -> Reply:
            kind = key(1, number) % 12
            if kind == 4:
                release.wait(10)  # the client does not wait so long
                return 0, {}, ""
            failures = {0: (429, {"retry-after": "0.01"}, ""), 1: (500, {}, ""), 2: (0, {}, "")}
            return failures.get(kind) or ((200, {}, "{") if kind == 3 else echo(number, asked))

        server.reply = reply
        asked = questions(15, samples=4)
        settings = config(server, concurrency=8, timeout=0.5, retries=20)
        answers = ask(settings, tmp_path, asked)
        release.set()
        assert sorted(named(answers)) == sorted((q.problem_id, q.sample) for q in asked)
        assert {answer.text for answer in answers} == {f"{said_by(q)}: {q.seed}" for q in asked}
        assert len(server.bodies) > 80
        rows = recorded(tmp_path)
        assert len(rows) == len({row["key"] for row in rows}) == 60
        before = len(server.bodies)
        again = ask(settings, tmp_path, asked)
        assert named(again) == [(q.problem_id, q.sample) for q in asked]
        assert sorted(again, key=str) == sorted(answers, key=str)
        assert len(server.bodies) == before

    @pytest.mark.parametrize(
        ("reply", "requests", "reason"),
        [
            ((500, {}, "oh"), 3, "no answer in 3 requests.*status 500: oh"),
            ((400, {}, "too long"), 1, "too long"),
        ],
    )
    def test_one_that_fails_to_the_end_does_not_hold_up_the_others(
        self, server: Server, tmp_path: Path, reply: Reply, requests: int, reason: str
    ) -> None:
        server.reply = lambda number, asked: reply if asked[0] == "question 2" else echo(number, asked)
        came: list[TeacherAnswer] = []
        with EndpointTeacher(config(server, retries=2), tmp_path) as teacher:
            with pytest.raises(EndpointError) as caught:
                came.extend(teacher.answers(questions(10)))
            assert len(came) == 9
            assert [q.problem_id for q in teacher.missing(questions(10))] == ["p2"]
        message = str(caught.value)
        assert re.search(r"1 of 10 questions have no answer; the first, problem 'p2', sample 0: ", message)
        assert re.search(reason, message)
        assert "a rerun asks for the others only" in message
        assert len(server.bodies) == 9 + requests
        server.reply = echo
        assert len(ask(config(server, retries=2), tmp_path, questions(10))) == 10
        assert len(server.bodies) == 10 + requests
        assert set(server.answered.values()) == {1}

    @pytest.mark.parametrize(
        ("reply", "advice"),
        [
            ((401, {}, "bad key"), "401: bad key; the key is wrong.*api_key_env"),
            ((404, {}, "no model"), "404: no model; check base_url.*and model"),
            ((302, {"location": "/x"}, ""), "it has moved"),
            ((429, {"retry-after": "3600"}, "quota"), "asks to wait for 3600 s.*run again after that time"),
        ],
    )
    def test_a_refusal_of_all_ends_it_at_once(
        self, server: Server, tmp_path: Path, reply: Reply, advice: str
    ) -> None:
        server.reply = lambda number, asked: echo(number, asked) if number < 10 else reply
        with pytest.raises(EndpointError, match=advice):
            ask(config(server), tmp_path, questions(40))
        assert len(server.bodies) <= 14
        assert len(recorded(tmp_path)) == 10
        server.reply = echo
        assert len(ask(config(server), tmp_path, questions(40))) == 40
        assert set(server.answered.values()) == {1}

    def test_an_endpoint_that_is_down_is_not_asked_for_everything(
        self, server: Server, tmp_path: Path
    ) -> None:
        server.reply = lambda *_: (503, {}, "down")
        with pytest.raises(EndpointError, match=r"64 questions in a row failed; .*status 503: down"):
            ask(config(server, retries=0), tmp_path, questions(1000))
        assert len(server.bodies) <= 68
        server.reply = lambda number, asked: (503, {}, "") if number % 2 else echo(number, asked)
        with pytest.raises(EndpointError, match="of 140 questions have no answer"):
            ask(config(server, retries=0), tmp_path, questions(140))

    def test_answers_of_any_size_and_speed_end(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rlvr.base.endpoint._LARGEST_BODY", 1 << 20)
        server.reply = lambda *_: said("x" * (1 << 20))
        with pytest.raises(EndpointError, match="larger than 1 MiB"):
            ask(config(server, retries=0), tmp_path, questions(1))
        release = threading.Event()
        server.reply = lambda *_: (release.wait(10), said("late"))[1]
        with pytest.raises(EndpointError, match="ReadTimeout"):
            ask(config(server, retries=0, timeout=0.1), tmp_path, questions(1))

        def drops() -> Iterator[bytes]:
            while not release.wait(0.02):
                yield b" "

        server.reply = lambda *_: (200, {"content-length": "1000000"}, drops())
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"not complete after 1\.1 s"):
            ask(config(server, retries=0, timeout=0.1), tmp_path, questions(1))
        assert time.monotonic() - began < 30
        release.set()

    def test_the_key_is_sent_and_never_shown(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEACHER_TEST_KEY", "s3cret-key\n")
        server.reply = lambda *_: (401, {}, "x" * 294 + " s3cret-key is wrong")
        with pytest.raises(EndpointError) as caught:
            ask(config(server, api_key_env="TEACHER_TEST_KEY"), tmp_path, questions(1))
        assert server.headers[0]["Authorization"] == "Bearer s3cret-key"
        assert "s3c" not in str(caught.value)
        monkeypatch.setenv("TEACHER_TEST_KEY", "s3cret key")
        with pytest.raises(ConfigError, match=r"^(?!.*s3c).*TEACHER_TEST_KEY has characters"):
            ask(config(server, api_key_env="TEACHER_TEST_KEY"), tmp_path, questions(1))
        assert "s3c" not in ChatEndpoint("http://me:s3cret@host/v1", None, 1, 0, 0).url


class TestFolder:
    @pytest.mark.parametrize(
        "change",
        [
            {"model": "n"},
            {"temperature": 0.5},
            {"top_p": 0.5},
            {"max_tokens": 5},
            {"extra_body": {"x": 1}},
        ],
    )
    def test_other_requests_are_asked(self, server: Server, tmp_path: Path, change: dict[str, Any]) -> None:
        ask(config(server), tmp_path, questions(2))
        server.reply = lambda *_: said("another")
        assert [a.text for a in ask(config(server, **change), tmp_path, questions(2))] == ["another"] * 2
        assert [a.text[:8] for a in ask(config(server), tmp_path, questions(2))] == ["question"] * 2
        assert len(server.bodies) == 4

    @pytest.mark.parametrize(
        "change", [{"messages": user("x")}, {"seed": 1}, {"sample": 1}, {"problem_id": "x"}]
    )
    def test_other_questions_are_asked(self, server: Server, tmp_path: Path, change: dict[str, Any]) -> None:
        (question,) = questions(1)
        ask(config(server), tmp_path, [question])
        ask(config(server), tmp_path, [replace(question, **change)])
        assert len(server.bodies) == 2

    def test_how_it_is_asked_does_not_matter(self, server: Server, tmp_path: Path) -> None:
        ask(config(server), tmp_path, questions(3))
        elsewhere = config(server, base_url="http://127.0.0.1:1/v1", concurrency=1, retries=0, timeout=1.0)
        assert len(ask(elsewhere, tmp_path, questions(3)[::-1])) == 3

    def test_only_what_is_new_is_asked(self, server: Server, tmp_path: Path) -> None:
        ask(config(server), tmp_path, questions(3))
        answers = ask(config(server), tmp_path, questions(5))
        assert sorted(named(answers)) == [(f"p{n}", 0) for n in range(5)]
        assert len(server.bodies) == 5

    def test_a_question_asked_twice_is_an_error(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="same problem and sample"):
            ask(config(server), tmp_path, questions(1) * 2)

    def test_half_a_line_is_cut_off(self, server: Server, tmp_path: Path) -> None:
        ask(config(server, concurrency=1), tmp_path, questions(3))
        path = tmp_path / "answers.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        for cut in (1, len(lines[2]) // 2, len(lines[2]) - 1):
            path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
            before = len(server.bodies)
            assert len(ask(config(server), tmp_path, questions(3))) == 3
            assert len(server.bodies) == before + 1
            assert [row["problem_id"] for row in recorded(tmp_path)] == ["p0", "p1", "p2"]

    @pytest.mark.parametrize("line", [b"{}", b"no json", b"\0\0\0", b"[1]", b"", b'{"key": 1, "text": "x"}'])
    def test_a_line_that_is_no_answer_is_named(self, server: Server, tmp_path: Path, line: bytes) -> None:
        ask(config(server, concurrency=1), tmp_path, questions(2))
        path = tmp_path / "answers.jsonl"
        first, second = path.read_bytes().splitlines()
        path.write_bytes(b"\n".join([first, line, second, b""]))
        with pytest.raises(DataError, match=r"answers.jsonl, line 2 is no answer.*remove that line"):
            EndpointTeacher(config(server), tmp_path)
        assert path.read_bytes() == b"\n".join([first, line, second, b""])

    def test_one_writer_at_a_time(self, server: Server, tmp_path: Path) -> None:
        with EndpointTeacher(config(server), tmp_path), pytest.raises(RlvrError, match="another process"):
            EndpointTeacher(config(server), tmp_path)
        EndpointTeacher(config(server), tmp_path).close()

    def test_a_full_disk_loses_nothing(self, tmp_path: Path) -> None:
        """A limit on the size of files is the full disk, in a process of its own."""
        code = """
import resource, sys
from pathlib import Path
from rlvr.rollout.answers import AnswerFile, TeacherAnswer
from rlvr.types import FinishReason, RlvrError
file = AnswerFile(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for number in range(100):
        file.append(str(number), TeacherAnswer("p", number, "x" * 50, FinishReason.STOP, 1, "m"), "stop")
except RlvrError as error:
    print(number, error)
"""
        command = [sys.executable, "-c", code, str(tmp_path / "answers.jsonl")]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        number, _, message = output.partition(" ")
        assert re.search("cannot be written: File too large; earlier answers are kept", message)
        assert [row["sample"] for row in recorded(tmp_path)] == list(range(int(number)))
        assert 0 < int(number) < 10
        assert (tmp_path / "answers.jsonl").read_bytes().endswith(b"\n")

    def test_an_answer_is_on_disk_when_it_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done: list[str] = []
        for name in ("write", "fsync"):
            true = getattr(os, name)
            monkeypatch.setattr(os, name, lambda *args, n=name, f=true: (done.append(n), f(*args))[1])
        file = AnswerFile(tmp_path / "answers.jsonl")
        done.clear()
        file.append("k", TeacherAnswer("p", 0, "x", FinishReason.STOP, 1, "m"), "stop")
        assert done == ["write", "fsync"]
        file.close()

    def test_a_killed_process(self, server: Server, tmp_path: Path) -> None:
        """After 10 answers the endpoint is silent; a process that waits for it is killed."""
        release = threading.Event()

        def reply(number: int, asked: Asked) -> Reply:
            if number >= 10:
                release.wait(60)
                return 0, {}, ""
            return echo(number, asked)

        server.reply = reply
        settings = {"base_url": server.url, "model": "m", "concurrency": 4}
        asked = questions(8, samples=3)
        kill_after(10, settings, tmp_path, asked)
        assert len(recorded(tmp_path)) == 10
        release.set()
        server.reply = echo
        answers = ask(EndpointRequests(**settings), tmp_path, asked)
        assert sorted(named(answers)) == sorted((q.problem_id, q.sample) for q in asked)
        assert server.answered == Counter((said_by(q), q.seed) for q in asked)
        assert len(recorded(tmp_path)) == 24


@settings(max_examples=30)
@given(texts=st.lists(st.text(), min_size=1, max_size=4), data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "answers.jsonl"
    answers = [TeacherAnswer("p", n, text, FinishReason.STOP, None, None) for n, text in enumerate(texts)]
    file = AnswerFile(path)
    for answer in answers:
        file.append(str(answer.sample), answer, None)
    assert [file.read(str(n)) for n in range(len(texts))] == answers
    file.close()
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    whole = path.read_bytes().count(b"\n")
    file = AnswerFile(path)
    assert [str(n) in file for n in range(len(texts))] == [n < whole for n in range(len(texts))]
    for answer in answers[whole:]:
        file.append(str(answer.sample), answer, None)
    assert [file.read(str(n)) for n in range(len(texts))] == answers
    file.close()


class TestStopping:
    def test_what_is_under_way_is_kept_and_nothing_more_is_sent(self, server: Server, tmp_path: Path) -> None:
        stop, release = threading.Event(), threading.Event()

        def reply(number: int, asked: Asked) -> Reply:
            if number >= 3:
                assert release.wait(30)
            return echo(number, asked)

        server.reply = reply
        with EndpointTeacher(config(server, concurrency=4), tmp_path) as teacher:
            answers = teacher.answers(questions(50), stop.is_set)
            came = [next(answers) for _ in range(3)]
            server.wait_for(7)
            stop.set()
            threading.Timer(0.4, release.set).start()  # long after it was seen
            came += answers
            assert len(came) == len(server.bodies) == len(recorded(tmp_path)) == 7
            assert len(teacher.missing(questions(50))) == 43
            left = {q.problem_id for q in teacher.missing(questions(50))}
        assert left | {a.problem_id for a in came} == {q.problem_id for q in questions(50)}
        server.reply = echo
        assert len(ask(config(server), tmp_path, questions(50))) == 50
        assert set(server.answered.values()) == {1}

    def test_waiting_for_a_retry_is_not_waited_for(self, server: Server, tmp_path: Path) -> None:
        server.reply = lambda *_: (429, {"retry-after": "100"}, "")
        began = time.monotonic()
        answers = ask(config(server), tmp_path, questions(50), lambda: len(server.bodies) >= 4)
        assert answers == []
        assert len(server.bodies) == 4
        assert time.monotonic() - began < 20

    def test_from_the_start(self, server: Server, tmp_path: Path) -> None:
        ask(config(server), tmp_path, questions(2))
        assert len(ask(config(server), tmp_path, questions(5), lambda: True)) == 2
        assert len(server.bodies) == 2

    def test_leaving_the_iterator_early_keeps_what_is_under_way(self, server: Server, tmp_path: Path) -> None:
        with EndpointTeacher(config(server, concurrency=1), tmp_path) as teacher:
            answers = teacher.answers(questions(2000))
            next(answers)
            answers.close()  # type: ignore[attr-defined]
            assert len(teacher.missing(questions(2000))) == 2000 - len(server.bodies) > 0
            time_of_last = len(server.bodies)
        assert len(recorded(tmp_path)) == time_of_last == sum(server.answered.values())

    def test_the_file_outlives_what_is_under_way(self, server: Server, tmp_path: Path) -> None:
        """An iterator lives as long as the error that left it; the file is closed before that."""

        def verify() -> None:
            with EndpointTeacher(config(server), tmp_path) as teacher:
                answers = teacher.answers(questions(2000))
                next(answers)
                raise KeyError("mine")

        with pytest.raises(KeyError):
            verify()
        assert len(recorded(tmp_path)) == len(server.bodies) == sum(server.answered.values()) < 2000

    def test_one_iterator_at_a_time(self, server: Server, tmp_path: Path) -> None:
        with EndpointTeacher(config(server), tmp_path) as teacher:
            answers = teacher.answers(questions(50))
            next(answers)
            with pytest.raises(ValueError, match="answering already"):
                next(teacher.answers(questions(2)))
            list(answers)
            assert len(list(teacher.answers(questions(51)))) == 51

    def test_an_error_of_the_caller_is_not_hidden(self, server: Server, tmp_path: Path) -> None:
        def stopped() -> bool:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            ask(config(server), tmp_path, questions(2), stopped)


class TestPace:
    def test_requests_are_no_closer_than_the_rate_allows(self, server: Server, tmp_path: Path) -> None:
        """A request arrives after it was sent, so that the n-th cannot be early, however slow the machine."""
        server.reply = lambda number, asked: (500, {}, "") if number % 3 == 0 else echo(number, asked)
        began = time.monotonic()
        ask(config(server, concurrency=8, requests_per_minute=3000, retries=9), tmp_path, questions(20))
        assert len(server.times) > 20
        assert all(at - began >= 0.02 * n for n, at in enumerate(sorted(server.times)))

    def test_the_rate_is_that_of_all_calls(self, server: Server, tmp_path: Path) -> None:
        began = time.monotonic()
        with EndpointTeacher(config(server, requests_per_minute=600), tmp_path) as teacher:
            for question in questions(4):
                list(teacher.answers([question]))
        assert all(at - began >= 0.1 * n for n, at in enumerate(server.times))

    def test_turns_of_a_burst(self) -> None:
        async def turns(pace: Pace, number: int) -> list[float]:
            loop = asyncio.get_running_loop()
            began = loop.time()

            async def one() -> float:
                await pace.turn()
                return loop.time() - began

            return sorted(await asyncio.gather(*(one() for _ in range(number))))

        spaced = asyncio.run(turns(Pace(6000), 10))
        assert all(after - before >= 0.0099 for before, after in pairwise(spaced))
        assert asyncio.run(turns(Pace(None), 1000))[-1] < 5

    def test_a_pause_that_one_request_was_told_is_everybodys(self, server: Server, tmp_path: Path) -> None:
        """Answers take 0.2 s, so that in a second three workers would send fifteen requests, not three."""
        slow = threading.Event()

        def reply(number: int, asked: Asked) -> Reply:
            if number == 0:
                return 429, {"retry-after": "1.0"}, ""
            slow.wait(0.2)
            return echo(number, asked)

        server.reply = reply
        assert len(ask(config(server, concurrency=3), tmp_path, questions(15))) == 15
        assert sum(at - server.times[0] < 1 for at in server.times) <= 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": ""}, "base_url is ''"),
        ({"base_url": "localhost:8000"}, "http://"),
        ({"model": ""}, "model is not set"),
        ({"concurrency": 0}, "concurrency is 0, but must be ≥ 1"),
        ({"requests_per_minute": 0.0}, "requests_per_minute"),
        ({"timeout": 0.0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"extra_body": {"n": 2}}, r"extra_body\.n"),
        ({"extra_body": {"stream": True}}, r"extra_body\.stream"),
        ({"extra_body": {"x": {1, 2}}}, "extra_body cannot be sent as JSON"),
        ({"extra_body": {"x": float("nan")}}, "extra_body cannot be sent as JSON"),
        ({"api_key_env": "RLVR_TEST_NO_SUCH_VARIABLE"}, "RLVR_TEST_NO_SUCH_VARIABLE.*is not set"),
        ({"api_key_env": "sk-s3cret"}, "^(?!.*s3cret).*must be the name"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EndpointTeacher(config(Server("http://127.0.0.1:1/v1"), **change), tmp_path)


NAMES = ["choices", "message", "content", "reasoning", "usage", "completion_tokens", "model"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inside: (
        st.lists(inside, max_size=2)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_reply_or_a_failure(data: bytes) -> None:
    assert isinstance(read_reply(data, ""), ChatReply | Failed)


@given(JSON, JSON, JSON)
def test_any_value_beside_the_content_is_text_or_nothing(one: Any, two: Any, three: Any) -> None:
    message = {"content": "x", "reasoning": one}
    body = {"choices": [{"message": message, "finish_reason": two}], "usage": three, "model": one}
    reply = read_reply(json.dumps(body).encode(), "")
    if isinstance(reply, ChatReply):
        assert reply.content == "x"
        assert reply.reasoning == (one if isinstance(one, str) and one else None)
        assert reply.finish_reason == (two if isinstance(two, str) else None)
        assert reply.completion_tokens is None or reply.completion_tokens >= 0
