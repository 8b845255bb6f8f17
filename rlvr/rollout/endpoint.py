"""A teacher behind an OpenAI-compatible endpoint; every answer is written to disk before it is returned."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import httpx

from rlvr.base.closing import Closing
from rlvr.base.endpoint import ChatEndpoint, ChatReply, EndpointError, Failed, RefusedError, plain_json
from rlvr.base.settings import out_of_range, refuse, setting
from rlvr.rollout.answers import AnswerFile, TeacherAnswer
from rlvr.rollout.config import EndpointConfig
from rlvr.types import ConfigError, FinishReason

_ADVICE = {
    401: "the key is wrong or missing: check the environment variable that api_key_env names",
    402: "the account has no credit left",
    403: "the key may not do this: check the environment variable that api_key_env names, and model",
    404: "check base_url, which mostly ends in /v1, and model",
    405: "check base_url, which mostly ends in /v1",
    429: "run again after that time",
    503: "run again after that time",
}
_REDIRECTED = "it has moved: set base_url to the new address"
# Words for a reply that is no answer, since the server failed or shut down: vLLM's and SGLang's, DeepSeek's.
BROKEN_OFF = ("abort", "error", "insufficient_system_resource")
# Words for an answer that the model ended itself, the last two those of TGI. All others, such as length,
# content_filter and repetition, say that it was cut off.
ENDED = ("stop", "eos_token", "stop_sequence")
_POLL = 0.1  # seconds between checks whether to stop
_IN_A_ROW = 64  # consecutive failures after which an endpoint is considered down


@dataclass
class EndpointRequests(EndpointConfig):
    """An endpoint, and the sampling settings of requests to it."""

    max_tokens: int = setting(4096, "longest answer, in tokens, reasoning included", ge=1)
    temperature: float = setting(1.0, ge=0, le=2)
    top_p: float = setting(1.0, gt=0, le=1)


@dataclass(frozen=True)
class Question:
    """A request for one answer."""

    problem_id: str
    sample: int
    messages: Sequence[Mapping[str, str]]  # {role, content}
    seed: int  # sent along; endpoints may ignore it


class EndpointTeacher(Closing):
    """Answers questions, each only once: answers are stored in `folder`/answers.jsonl.

    The key of an answer is its question and all that was sent (model, sampling, messages, seed). So other
    settings ask again in the same folder, but the endpoint's address, retries and rate do not matter. Close
    it, or use it in a `with`.

    Raises:
        ConfigError: a setting is invalid.
        DataError: answers.jsonl has a line that is no answer.
        RlvrError: another process writes to the folder.
    """

    def __init__(self, config: EndpointRequests, folder: Path) -> None:
        refuse(out_of_range(config))
        if not config.model:
            raise ConfigError("model is not set: name a model that the endpoint has")
        for name in ("messages", "model", "n", "stream"):
            if name in config.extra_body:
                raise ConfigError(f"extra_body.{name} cannot be set: remove it")
        try:
            self.extra_body = plain_json("extra_body", config.extra_body)
            self.endpoint = ChatEndpoint(
                config.base_url, config.api_key_env, config.timeout, config.retries, config.backoff
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.config = config
        self.file = AnswerFile(folder / "answers.jsonl")
        self.next_turn = 0.0  # earliest time of the next request, on the event loop's clock
        self._left = Event()  # the caller wants no more answers
        self._running: Future[str | None] | None = None

    def close(self) -> None:
        """Stop like `stopped`: store the answers to requests that were sent, then close the file."""
        self._left.set()
        if self._running is not None:
            wait([self._running])
        self.file.close()

    def body(self, question: Question) -> dict[str, Any]:
        """The request body: extra_body overrides our own settings, and null removes a key."""
        config = self.config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": list(question.messages),
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": question.seed,
            **self.extra_body,
        }
        return {name: value for name, value in body.items() if value is not None}

    def key(self, question: Question) -> str:
        asked = [question.problem_id, question.sample, self.body(question)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def missing(self, questions: Sequence[Question]) -> list[Question]:
        """The questions without an answer on disk, in order."""
        return [question for question in questions if self.key(question) not in self.file]

    def answers(
        self, questions: Sequence[Question], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[TeacherAnswer]:
        """All answers: those on disk in the order of the questions, then the others as they arrive.

        Questions are sent in order, from a thread, also while the caller processes an answer. Once
        `stopped()` (called from that thread) is true, nothing more is sent, requests that were sent are
        waited for and their answers kept, and the iterator ends without an error: `missing` returns the
        questions left. Leaving the iterator early does the same.

        Raises:
            EndpointError: a question was refused, or failed after all retries. After a refusal that
                concerns all questions (a wrong key, an unknown model), or so many failures in a row that
                the endpoint must be down, nothing more is sent; otherwise the others are asked first.
            RlvrError: an answer cannot be written.
            ValueError: two questions have the same problem and sample number, or another iterator of
                this teacher has not ended.
        """
        if self._running is not None and not self._running.done():
            raise ValueError("this teacher is answering already: exhaust that iterator first, or close it")
        if len({(question.problem_id, question.sample) for question in questions}) < len(questions):
            raise ValueError("two questions have the same problem and sample number")
        todo = {self.key(question): question for question in questions}
        known = [key for key in todo if key in self.file]
        for key in known:
            del todo[key]
        came: SimpleQueue[str | None] = SimpleQueue()
        self._left.clear()
        tolerated = self.config.max_failed * len(questions)
        asking = _Asking(self, todo, came.put, lambda: self._left.is_set() or stopped(), tolerated)
        with ThreadPoolExecutor(1, "teacher") as executor:
            running = self._running = executor.submit(asyncio.run, asking.run())
            running.add_done_callback(lambda _: came.put(None))
            try:
                yield from map(self.file.read, known)
                while (new := came.get()) is not None:
                    yield self.file.read(new)
                if (reason := running.result()) is not None:
                    raise EndpointError(reason)
            finally:
                self._left.set()


class _Asking:
    """The requests of one call of `answers`, in the thread with the event loop."""

    def __init__(
        self,
        teacher: EndpointTeacher,
        todo: Mapping[str, Question],
        answered: Callable[[str], None],
        stopped: Callable[[], bool],
        tolerated: float,  # number of failures up to which there is no error
    ) -> None:
        self.teacher, self.todo, self.answered, self.stopped = teacher, todo, answered, stopped
        self.tolerated = tolerated
        self.queue = iter(todo.items())
        self.pace = Pace(teacher.config.requests_per_minute, teacher.next_turn)
        self.sending: set[asyncio.Task[None] | None] = set()
        self.failures: list[tuple[Question, str]] = []
        self.in_a_row = 0
        self.ended: str | None = None  # why nothing more is sent, unless the user stopped it

    def over(self) -> bool:
        return self.ended is not None or self.stopped()

    async def run(self) -> str | None:
        """Send requests until all are done or `over()`. Returns an error message for the user, if any."""
        async with self.teacher.endpoint.client() as client:
            number = min(self.teacher.config.concurrency, len(self.todo))
            working = {asyncio.create_task(self._work(client)) for _ in range(number)}
            while working:
                done, working = await asyncio.wait(
                    working, timeout=_POLL, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    if not task.cancelled():
                        task.result()
                if self.over():
                    for task in working - self.sending:
                        task.cancel()  # it is waiting for its turn or its next retry
        self.teacher.next_turn = self.pace.next_turn
        return self._reason()

    async def _work(self, client: httpx.AsyncClient) -> None:
        for key, question in self.queue:  # one iterator for all workers
            send = partial(self._send, client, self.teacher.body(question))
            try:
                reply = await self.teacher.endpoint.ask(key, "answer", send)
            except EndpointError as error:
                self._failed(question, error)
            else:
                self.teacher.file.append(key, read_answer(question, reply), reply.finish_reason)
                self.in_a_row = 0
                self.answered(key)

    async def _send(
        self, client: httpx.AsyncClient, body: Mapping[str, Any], _: Failed | None
    ) -> ChatReply | Failed:
        await self.pace.turn()
        if self.over():
            raise asyncio.CancelledError  # as `run` would do at its next check
        task = asyncio.current_task()
        self.sending.add(task)
        try:
            reply = await self.teacher.endpoint.post(client, body)
        finally:
            self.sending.discard(task)
        if isinstance(reply, Failed):
            if reply.wait is not None:
                self.pace.hold(reply.wait)
        elif reply.content is None and reply.reasoning is None:
            return Failed(f"its reply has no text: {reply.shown}")
        elif reply.finish_reason in BROKEN_OFF:
            return Failed(f"it broke off its reply: {reply.shown}")
        return reply

    def _failed(self, question: Question, error: EndpointError) -> None:
        self.failures.append((question, str(error)))
        self.in_a_row += 1
        if isinstance(error, RefusedError) and (
            advice := _ADVICE.get(error.status, _REDIRECTED if 300 <= error.status < 400 else None)
        ):
            self.ended = self.ended or f"{error}; {advice}"
        elif self.in_a_row >= max(_IN_A_ROW, 4 * self.teacher.config.concurrency):
            self.ended = self.ended or (
                f"{self.in_a_row} questions in a row failed; the last one, {_named(question)}: {error}; "
                "check that the endpoint is up and accepts such requests"
            )

    def _reason(self) -> str | None:
        kept = f"All answers are kept in {self.teacher.file.path}, and a rerun asks for the others only."
        if self.ended is not None:
            return f"{self.ended}. {kept}"
        if len(self.failures) <= self.tolerated or self.stopped():
            return None
        question, why = self.failures[0]
        count = f"{len(self.failures)} of {len(self.todo)} questions have no answer"
        return (
            f"{count}; the first, {_named(question)}: {why}. {kept} If some are always "
            "refused, set max_failed to the share of questions that may stay without an answer."
        )


def _named(question: Question) -> str:
    return f"problem {question.problem_id!r}, sample {question.sample}"


class Pace:
    """Rate limit: turns at least `spacing` seconds apart, none while the endpoint asks for a pause."""

    def __init__(self, per_minute: float | None, first_turn: float = 0.0) -> None:
        self.spacing = 60.0 / per_minute if per_minute is not None else 0.0  # seconds
        self.next_turn = first_turn  # in the event loop's time
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for a turn; turns are given in the order of the calls."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            while (seconds := self.next_turn - loop.time()) > 0:
                await asyncio.sleep(seconds)
            self.next_turn = loop.time() + self.spacing

    def hold(self, seconds: float) -> None:
        """Give no turns for `seconds`: a rate limit that one request hit holds for all."""
        self.next_turn = max(self.next_turn, asyncio.get_running_loop().time() + seconds)


def read_answer(question: Question, reply: ChatReply) -> TeacherAnswer:
    """The answer with its reasoning in front, as the model wrote it before the server separated the two.

    The text is "<think>\\n{reasoning}\\n</think>\\n{content}", or "<think>\\n{reasoning}" if the model
    was cut off before it began an answer.
    """
    ended = reply.finish_reason in ENDED
    text = reply.content or ""
    if reply.reasoning is not None:
        thought = f"<think>\n{reply.reasoning}"
        text = f"{thought}\n</think>\n{text}" if text or ended else thought
    return TeacherAnswer(
        question.problem_id,
        question.sample,
        text,
        FinishReason.STOP if ended else FinishReason.LENGTH,
        reply.completion_tokens,
        reply.model,
    )
