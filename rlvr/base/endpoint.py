"""Requests to an OpenAI-compatible chat endpoint, with retries. Used for judges and for teachers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from rlvr.types import RlvrError

Result = TypeVar("Result")

_RETRIED = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 120.0  # seconds between two tries; also the longest Retry-After that is honoured
_LARGEST_BODY = 64 * 2**20  # bytes
_DRIP = 1.0  # seconds beyond the timeout after which an incomplete body is given up


class EndpointError(RlvrError):
    """A request failed for good: all retries failed, or a retry would be useless."""


class RefusedError(EndpointError):
    """The endpoint answered with a `status` that should not be retried, or not for a long time."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Failed:
    """A request that should be retried, after `wait` seconds if the endpoint named a time."""

    why: str
    wait: float | None = None


@dataclass(frozen=True)
class ChatReply:
    """The first choice of a chat completion. What the endpoint left out, or sent as another type, is None."""

    content: str | None
    reasoning: str | None  # from servers that separate it from the content
    finish_reason: str | None  # in the server's own words
    completion_tokens: int | None  # reasoning included
    model: str | None  # the name of the model that answered
    shown: str  # the beginning of the body, for a message to the user


class ChatEndpoint:
    """POSTs chat completions to `base_url`/chat/completions, as in http://127.0.0.1:8000/v1.

    `api_key_env`: the *name* of an environment variable with the key, which no message shows.
    `timeout` is in seconds, for connecting and for the answer; `backoff` is the seconds before the first
    of `retries` further tries, doubled for each one (to at most 120 s) and varied by up to half of it,
    the same way in every run. A Retry-After of the endpoint goes first, if it is no longer than that.

    Raises ValueError for a setting that cannot be used.
    """

    def __init__(
        self, base_url: str, api_key_env: str | None, timeout: float, retries: int, backoff: float
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url is {base_url!r}, but must begin with http:// or https://")
        if timeout <= 0:
            raise ValueError(f"timeout is {timeout}, but must be > 0")
        if retries < 0 or backoff < 0:
            raise ValueError(f"retries is {retries} and backoff {backoff}, but both must be ≥ 0")
        self._url = base_url.rstrip("/") + "/chat/completions"
        self.url = re.sub(r"//[^/@]*@", "//", self._url)  # without a password, to be shown
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self._key = None if api_key_env is None else _read_key(api_key_env)

    def client(self) -> httpx.AsyncClient:
        """An HTTP client, to be used in one event loop.

        The number of connections is not limited: the caller bounds the number of concurrent requests.
        """
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.AsyncClient(
            headers=headers, timeout=self.timeout, limits=httpx.Limits(max_connections=None)
        )

    async def ask(
        self, key: str, wanted: str, once: Callable[[Failed | None], Awaitable[Result | Failed]]
    ) -> Result:
        """Call `once`, with the last failure, until it does not fail. `key` seeds the variation of the wait.

        Raises EndpointError, whose message says that there was no `wanted`, if the last try fails, too.
        """
        failed: Failed | None = None
        for attempt in range(self.retries + 1):
            if failed is not None:
                await asyncio.sleep(self._wait(failed, key, attempt))
            result = await once(failed)
            if not isinstance(result, Failed):
                return result
            failed = result
        why = failed.why if failed else ""
        raise EndpointError(
            f"{self.url} gave no {wanted} in {self.retries + 1} requests; the last one: {why}"
        )

    def _wait(self, failed: Failed, key: str, attempt: int) -> float:
        if failed.wait is not None:
            return failed.wait
        drawn = int(hashlib.sha256(f"{key} {attempt}".encode()).hexdigest()[:8], 16) / 2**32
        return min(self.backoff * 2 ** (attempt - 1) * (1 + drawn / 2), _LONGEST_WAIT)

    async def post(self, client: httpx.AsyncClient, body: Mapping[str, Any]) -> ChatReply | Failed:
        """The reply to one request, or why it should be retried.

        Raises RefusedError if a retry would be useless.
        """
        data = bytearray()
        sent = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        try:
            # The client's timeouts apply to each step, and their errors name it; this one covers all steps.
            async with (
                asyncio.timeout(self.timeout + _DRIP),
                client.stream("POST", self._url, content=sent) as response,
            ):
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > _LARGEST_BODY:
                        return Failed(f"its answer is larger than {_LARGEST_BODY >> 20} MiB")
        except TimeoutError:
            return Failed(f"its answer was not complete after {self.timeout + _DRIP:g} s")
        except httpx.RequestError as error:
            return Failed(self._shown(f"{type(error).__name__}: {error}".rstrip(": ")))
        shown = self._shown(data.decode(errors="replace"))
        if response.status_code != 200:
            return self._rejected(response, shown)
        return read_reply(bytes(data), shown)

    def _rejected(self, response: httpx.Response, shown: str) -> Failed:
        why = f"status {response.status_code}: {shown}"
        if response.status_code not in _RETRIED:
            raise RefusedError(f"{self.url} refused the request with {why}", response.status_code)
        wait = _retry_after(response.headers.get("retry-after"))
        if wait is not None and wait > _LONGEST_WAIT:
            raise RefusedError(f"{self.url} asks to wait for {wait:.0f} s ({why})", response.status_code)
        return Failed(why, wait)

    def _shown(self, text: str) -> str:
        """The beginning of `text`, without the key, which some servers repeat."""
        text = text.replace(self._key, "…") if self._key is not None else text
        return text[:300].encode(errors="replace").decode()


def read_reply(data: bytes, shown: str) -> ChatReply | Failed:
    """The first choice of the chat completion `data`; other fields may be missing or malformed.

    JSON can hold lone surrogates, which files cannot: they become question marks.
    """
    try:
        body = json.loads(data)
        choice = body["choices"][0]
        message = choice["message"]
        content = message["content"]
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        usage = body.get("usage") or {}
        tokens = usage.get("completion_tokens")
        finish_reason, model = choice.get("finish_reason"), body.get("model")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Failed(f"its answer is no chat completion: {shown}")
    if content is not None and not isinstance(content, str):
        return Failed(f"its reply has no text: {shown}")
    return ChatReply(
        _text(content),
        _text(reasoning) or None,
        _text(finish_reason),
        tokens if type(tokens) is int and tokens >= 0 else None,
        _text(model),
        shown,
    )


def _text(value: object) -> str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def plain_json(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `value` as JSON has it. Raises ValueError, naming the setting, if that is not possible."""
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be sent as JSON: {error}") from error
    return copied


def _read_key(variable: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable):  # it may be the key itself, so it is not shown
        raise ValueError("api_key_env must be the name of an environment variable, as in JUDGE_API_KEY")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValueError(f"the environment variable {variable}, which api_key_env names, is not set")
    if not re.fullmatch(r"[!-~]+", key):  # the error of the HTTP library would show it
        raise ValueError(f"the key in the environment variable {variable} has characters that no key has")
    return key


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header (a number or a date); None without a valid one."""
    if value is None:
        return None
    try:
        seconds = (
            float(value)
            if re.fullmatch(r"\d{1,9}(\.\d+)?", value.strip())
            else (parsedate_to_datetime(value).timestamp() - time.time())
        )
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds)
