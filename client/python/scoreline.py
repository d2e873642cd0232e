"""The client of Scoreline for Python 3.9 and later: this one file, and the package `requests`.

    client = ScorelineClient("https://scoring.example.com", key)
    answer = client.score("faq-matcher", "copy an object")
    print(answer["predictions"][0])

Each call has one time limit. An answer of 429 or 503, and a connection that was lost, are tried again, with pauses that
honour `Retry-After`. A call that scores sends an `Idempotency-Key` of its own, the same with each attempt, so no attempt
is scored twice. With numpy installed, tensors are numpy arrays and travel in binary; without it, they are lists.

Why requests: wherever Python does data, it is there already.
"""

from __future__ import annotations

import codecs
import email.utils
import json
import math
import os
import random
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Callable, TypedDict, TypeVar, Union
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase

try:
    import numpy
except ImportError:  # The client works without it.
    numpy = None  # type: ignore[assignment]

__all__ = [
    "Inference",
    "Job",
    "JobEvent",
    "JobSummary",
    "Jobs",
    "Models",
    "Problem",
    "Score",
    "ScorelineClient",
    "ScorelineError",
    "Tensor",
]

# What the service answers.


class Problem(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class Timing(TypedDict):
    queueMs: float
    batchMs: float
    computeMs: float
    batchSize: int


class _Score(TypedDict):
    model: str
    version: str
    id: str
    # The best classes ("label", "score" and more), best first; a number ("value"); an embedding ("embedding"); or
    # the outputs of the network ("name", "datatype", "shape", "data").
    predictions: list[dict[str, Any]]
    timing: Timing


class Score(_Score, total=False):
    known: bool
    # Further answers of the network, by name
    outputs: dict[str, list[dict[str, Any]]]


class JobSummary(TypedDict):
    id: str
    # queued, running, succeeded, failed, cancelled or expired
    state: str
    model: str
    version: str
    submittedAt: str
    deadlineAt: str


class Job(JobSummary, total=False):
    # While it is queued
    position: int
    estimatedWaitMs: float
    # A Score, or an Inference if tensors were submitted
    result: Any
    problem: dict[str, Any]
    # If the request had a Webhook-Url
    webhook: dict[str, Any]


class _Jobs(TypedDict):
    jobs: list[JobSummary]


class Jobs(_Jobs, total=False):
    next: str


class Models(TypedDict):
    models: list[dict[str, Any]]
    # Versions that get no requests, and why
    waiting: list[dict[str, str]]
    leftOut: list[dict[str, str]]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the Open Inference Protocol.

    `data` is a numpy array, or a list, flat or nested. An array has a shape and a datatype of its own; a list of numbers
    needs both here. Elements of BYTES are texts, or bytes such as those of a file. Answers have arrays with numpy installed, and flat lists without it.
    """

    name: str
    data: Any
    shape: Sequence[int] | None = None
    datatype: str | None = None


@dataclass(frozen=True)
class Inference:
    """What a model answered to tensors."""

    model: str
    version: str
    id: str | None
    # By name
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class JobEvent:
    """A job has another state ("state": `id` and `job`), or has moved in the line of its model ("position")."""

    type: str
    # Where to go on (`last_event_id`)
    id: str | None = None
    job: Job | None = None
    position: int | None = None
    estimated_wait_ms: float | None = None


class ScorelineError(Exception):
    """A call that failed. Its text says what was expected, what came, and what to do.

    `code` is one of docs/errors.md, or of this client: `connection_failed`, `timed_out`, `answer_unexpected` (it comes
    from a proxy or something else) or `job_expired`. No error holds the key or the input of the call.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        problem: Problem | None = None,
        request_id: str | None = None,
        retry_after_ms: float | None = None,
        is_retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.problem = problem
        self.request_id = request_id
        self.retry_after_ms = retry_after_ms
        self.is_retryable = is_retryable


T = TypeVar("T")
Key = Union[str, Callable[[], str]]
# A text, the bytes of a picture or another file, the path of that, a row of a table, or JSON. None in a row is a missing value.
Input = Union[
    str, bytes, bytearray, memoryview, "os.PathLike[str]", Mapping[str, Any], Sequence[Any], float, bool, None
]
JobRef = Union[str, JobSummary, Job]

_FIRST_PAUSE_MS = 250
_PAUSE_MS_MAX = 10_000
# A later Retry-After counts as this: time.sleep refuses what the clock of the system cannot count.
_RETRY_AFTER_MS_MAX = 30 * 86_400_000
# How long one request waits for the end of a job. Many proxies end requests that are quiet for a minute.
_WAIT_MS_MAX = 20_000
# The pause before a job is asked for again when the service did not wait, as when it shuts down.
_ASK_AGAIN_MS = 1000
# A connection is lost if it takes longer to be made, if an answer is silent for longer, or if a stream or the answer to
# a wait is. The service answers at last when the deadline of the model passes. It shows every 15 seconds that a stream
# lives. A machine that is gone never closes its connection.
_CONNECT_MS_MAX = 10_000
_ANSWER_MS_MAX = 3_600_000
_SILENCE_MS_MAX = 45_000
_JSON_BYTES = "Inference-Header-Content-Length"
# Printable ASCII without blanks
_VISIBLE = r"[!-~]+"


class ScorelineClient:
    """The client of one service. Threads should have one each. A forked process makes connections of its own."""

    def __init__(
        self,
        url: str,
        key: Key | None = None,
        *,
        timeout_ms: float = 60_000,
        retries: int = 10,
    ) -> None:
        """`url` may have a path. `key` is an API key or an access token, or a function that returns the one valid now.

        `timeout_ms` is the most time that a call may take, with all attempts.
        """
        self._url = _read_url(url)
        if key is not None and not callable(key):
            _check_key(key)
        self._auth = _Bearer(key)
        self._timeout_ms = _check_number("timeout_ms", timeout_ms, "above 0")
        self._retries = _check_number("retries", retries, "0 or more")
        self._session = _Session()

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def __enter__(self) -> ScorelineClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def score(
        self,
        model: str,
        input: Input,
        *,
        version: str | None = None,
        top: int | None = None,
        deadline_ms: float | None = None,
        idempotency_key: Union[str, uuid.UUID, None, bool] = None,
        priority: str | None = None,
        timeout_ms: float | None = None,
        request_id: str | None = None,
    ) -> Score:
        """Scores one input: a text, the bytes of a picture or another file or the path of that, a row of a table, or JSON.

        `deadline_ms` is how long the service may take. `idempotency_key=False` leaves the key out: then the service need
        not keep the result, and an attempt whose connection was lost may be scored twice. `priority="bulk"` lets
        interactive requests pass.
        """
        asked = _ask_score(
            model,
            version,
            input,
            top=top,
            deadline_ms=deadline_ms,
            name=idempotency_key,
            priority=priority,
        )
        call = self._open(timeout_ms, request_id)
        answer: Score = call.ask(asked, _read_score, is_awaited=True)
        return answer

    def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[Union[str, Mapping[str, Any]]] | None = None,
        id: str | None = None,
        version: str | None = None,
        deadline_ms: float | None = None,
        idempotency_key: Union[str, uuid.UUID, None, bool] = None,
        priority: str | None = None,
        timeout_ms: float | None = None,
        request_id: str | None = None,
    ) -> Inference:
        """Sends tensors to the network of a model. An output is a name, or {"name": …, "classification": count}."""
        body = _encode_tensors(inputs, outputs, id)
        asked = _ask_infer(
            model, version, body, deadline_ms=deadline_ms, name=idempotency_key, priority=priority
        )
        return self._open(timeout_ms, request_id).ask(asked, _read_tensors, is_awaited=True)

    def submit(
        self,
        model: str,
        input: Input,
        *,
        version: str | None = None,
        top: int | None = None,
        deadline_ms: float | None = None,
        idempotency_key: Union[str, uuid.UUID, None, bool] = None,
        priority: str | None = None,
        webhook_url: str | None = None,
        timeout_ms: float | None = None,
        request_id: str | None = None,
    ) -> JobSummary:
        """Submits an input that is scored later. It may have hours (`deadline_ms`).

        `webhook_url` is the address that is told when the job has ended, if its host is in WEBHOOK_HOSTS.
        """
        asked = _ask_score(
            model,
            version,
            input,
            top=top,
            deadline_ms=deadline_ms,
            name=idempotency_key,
            priority=priority,
        )
        return self._submit(asked, timeout_ms, request_id, webhook_url)

    def submit_tensors(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[Union[str, Mapping[str, Any]]] | None = None,
        id: str | None = None,
        version: str | None = None,
        deadline_ms: float | None = None,
        idempotency_key: Union[str, uuid.UUID, None, bool] = None,
        priority: str | None = None,
        webhook_url: str | None = None,
        timeout_ms: float | None = None,
        request_id: str | None = None,
    ) -> JobSummary:
        """Submits tensors that are scored later."""
        body = _encode_tensors(inputs, outputs, id)
        asked = _ask_infer(
            model, version, body, deadline_ms=deadline_ms, name=idempotency_key, priority=priority
        )
        return self._submit(asked, timeout_ms, request_id, webhook_url)

    def job(
        self, job: JobRef, *, timeout_ms: float | None = None, request_id: str | None = None
    ) -> Job:
        """Reads a job as it is now."""
        return self._open(timeout_ms, request_id).ask(_ask_job(job), _read_job)

    def wait(
        self, job: JobRef, *, timeout_ms: float = math.inf, request_id: str | None = None
    ) -> Job:
        """Waits until a job has succeeded. Raises the problem of one that failed or was cancelled, or `job_expired`."""
        call = self._open(timeout_ms, request_id)
        while True:
            wait_ms = min(_WAIT_MS_MAX, call.remaining_ms())
            started_at = time.monotonic()
            asked = _ask_job(job, headers={"Prefer": f"wait={math.ceil(wait_ms / 1000)}"})
            found = call.ask(asked, _read_job, silence_ms_max=_SILENCE_MS_MAX)
            if not _is_pending(found):
                return _succeeded(found, call.request_id)
            has_waited = (time.monotonic() - started_at) * 1000 > wait_ms / 2
            if not has_waited:
                call.sleep(_ASK_AGAIN_MS)

    def events(
        self,
        job: JobRef,
        *,
        last_event_id: str | None = None,
        timeout_ms: float = math.inf,
        request_id: str | None = None,
    ) -> Iterator[JobEvent]:
        """Follows a job through its states until it has ended, also through lost connections."""
        if last_event_id is not None:
            _check("last_event_id", last_event_id, _VISIBLE, "the id of an event, or None")
        return _follow(self._open(timeout_ms, request_id), job, last_event_id)

    def cancel(
        self, job: JobRef, *, timeout_ms: float | None = None, request_id: str | None = None
    ) -> Job:
        """Cancels a job. One that has ended stays as it is, which is the error `job_finished`."""
        return self._open(timeout_ms, request_id).ask(_ask_job(job, method="DELETE"), _read_job)

    def jobs(
        self,
        *,
        state: str | None = None,
        model: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        timeout_ms: float | None = None,
        request_id: str | None = None,
    ) -> Jobs:
        """Lists the caller's jobs, a page at a time, the last one first. `after` is the `next` of the page before."""
        query = {"state": state, "model": model, "limit": limit, "after": after}
        asked = _Asked("GET", ("v1", "jobs"), query=query)
        page: Jobs = self._open(timeout_ms, request_id).ask(asked, _read_jobs)
        return page

    def models(self, *, timeout_ms: float | None = None, request_id: str | None = None) -> Models:
        """Lists the models that the caller may use."""
        asked = _Asked("GET", ("v1", "models"))
        models: Models = self._open(timeout_ms, request_id).ask(asked, _read_models)
        return models

    def _submit(
        self,
        asked: _Asked,
        timeout_ms: float | None,
        request_id: str | None,
        webhook_url: str | None,
    ) -> JobSummary:
        headers = {**(asked.headers or {}), "Prefer": "respond-async"}
        if webhook_url is not None:
            expected = "an address of printable ASCII without blanks, or None"
            headers["Webhook-Url"] = _check("webhook_url", webhook_url, _VISIBLE, expected)
        later = replace(asked, headers=headers, statuses=(202,))
        job: JobSummary = self._open(timeout_ms, request_id).ask(later, _read_summary)
        return job

    def _open(self, timeout_ms: float | None, request_id: str | None) -> _Call:
        limit_ms = self._timeout_ms
        if timeout_ms is not None:
            limit_ms = _check_number("timeout_ms", timeout_ms, "above 0")
        if request_id is not None:
            # The service puts an id of its own in place of any other.
            expected = "1 to 128 letters, digits and -_.:/+=@, or None"
            _check("request_id", request_id, r"[\w.:/+=@-]{1,128}", expected)
        return _Call(
            session=self._session,
            url=self._url,
            auth=self._auth,
            retries=self._retries,
            limit_ms=limit_ms,
            request_id=uuid.uuid4().hex if request_id is None else request_id,
        )


class _Session(requests.Session):
    """Connections of one process, which follow no redirect."""

    # Also that of a session that was pickled
    _process = 0

    def get_adapter(self, url: str) -> BaseAdapter:
        # A forked process shares the connections of its parent, and each would read answers to the other.
        if self._process != os.getpid():
            for prefix in ("https://", "http://"):
                self.mount(prefix, HTTPAdapter())
            self._process = os.getpid()
        return super().get_adapter(url)

    def get_redirect_target(self, resp: requests.Response) -> None:
        # requests reads its body and its address even where it must not follow it.
        return None


class _Bearer(AuthBase):
    """Shows the key. Even without one it is there, because requests would take credentials from ~/.netrc."""

    def __init__(self, key: Key | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        key = self._key
        shown = _check_key(key()) if callable(key) else key
        if shown is not None:
            request.headers["Authorization"] = f"Bearer {shown}"
        return request


@dataclass(frozen=True)
class _Asked:
    method: str
    # The parts of the path, which need no encoding yet
    path: tuple[str, ...]
    query: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    # What an answer may have
    statuses: tuple[int, ...] = (200,)


class _Call:
    """One call: one or several requests under one time limit, with one id in the log of the service."""

    def __init__(
        self,
        *,
        session: requests.Session,
        url: str,
        auth: AuthBase,
        retries: float,
        limit_ms: float,
        request_id: str,
    ) -> None:
        self._session = session
        self._url = url
        self._auth = auth
        self._limit_ms = limit_ms
        self._ends_at = time.monotonic() + limit_ms / 1000
        self.retries = retries
        self.request_id = request_id

    def remaining_ms(self) -> float:
        return max((self._ends_at - time.monotonic()) * 1000, 0)

    def sleep(self, ms: float) -> None:
        time.sleep(min(ms, self.remaining_ms()) / 1000)
        if self.remaining_ms() == 0:
            raise self._timed_out(None)

    def ask(
        self,
        asked: _Asked,
        read: Callable[[requests.Response, bytes], T],
        *,
        is_awaited: bool = False,
        silence_ms_max: float = _ANSWER_MS_MAX,
    ) -> T:
        """Sends a request until it is answered, as often as it may be, and reads the answer.

        With `is_awaited`, the service is told how long the caller waits, so it need not work for longer.
        """

        def attempt() -> T:
            response = self._send(asked, is_awaited=is_awaited, silence_ms_max=silence_ms_max)
            try:
                return read(response, self._read_body(response))
            finally:
                response.close()

        return self._try(attempt)

    def open(self, asked: _Asked) -> requests.Response:
        """Opens a stream that is never silent for long. The caller reads it, and closes it."""
        return self._try(lambda: self._send(asked, silence_ms_max=_SILENCE_MS_MAX))

    def _try(self, attempt: Callable[[], T]) -> T:
        last: ScorelineError | None = None
        failures = 0
        while True:
            if self.remaining_ms() == 0:
                raise self._timed_out(last) from last
            try:
                return attempt()
            except requests.RequestException as thrown:
                # The request holds the key.
                thrown.request = None
                if self.remaining_ms() == 0:
                    raise self._timed_out(last) from (last or thrown)
                last = self._lost(thrown)
                if not last.is_retryable or failures >= self.retries:
                    raise last from thrown
            except ScorelineError as thrown:
                last = thrown
                if not thrown.is_retryable or failures >= self.retries:
                    raise
            pause_ms = _pause_after(failures, last.retry_after_ms)
            # There is no time for another attempt, so what is known is told now.
            if pause_ms >= self.remaining_ms():
                raise last
            time.sleep(pause_ms / 1000)
            failures += 1

    def _send(
        self, asked: _Asked, *, is_awaited: bool = False, silence_ms_max: float = _ANSWER_MS_MAX
    ) -> requests.Response:
        # requests takes no limit of 0.
        remaining_ms = max(self.remaining_ms(), 1)
        headers = {"X-Request-Id": self.request_id, **(asked.headers or {})}
        if is_awaited and math.isfinite(remaining_ms):
            headers["Request-Timeout"] = f"{remaining_ms / 1000:.3f}"
        silence_ms = min(remaining_ms, silence_ms_max)
        response = self._session.request(
            asked.method,
            "/".join([self._url, *map(_encode_segment, asked.path)]),
            params={
                name: value for name, value in (asked.query or {}).items() if value is not None
            },
            data=asked.body,
            headers=headers,
            auth=self._auth,
            timeout=(min(remaining_ms, _CONNECT_MS_MAX) / 1000, silence_ms / 1000),
            allow_redirects=False,
            stream=True,
        )
        if response.status_code in asked.statuses:
            return response
        try:
            raise _error_of(response, self._read_body(response), self._url, self.request_id)
        finally:
            response.close()

    def _read_body(self, response: requests.Response) -> bytes:
        # urllib3 1 takes a body that was cut off for a whole one unless told otherwise.
        response.raw.enforce_content_length = True
        chunks: list[bytes] = []
        for chunk in _chunks(response, 65_536):
            chunks.append(chunk)
            if self.remaining_ms() == 0:
                raise self._timed_out(None)
        return b"".join(chunks)

    def _lost(self, cause: requests.RequestException) -> ScorelineError:
        # A certificate that is wrong stays wrong, and so does a request that cannot be sent.
        lost = (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            # The body was damaged on its way.
            requests.exceptions.ContentDecodingError,
        )
        is_lost = isinstance(cause, lost) and not isinstance(cause, requests.exceptions.SSLError)
        return ScorelineError(
            f"Expected an answer from {self._url}; the connection failed ({_reason_of(cause)}).",
            code="connection_failed",
            request_id=self.request_id,
            is_retryable=is_lost,
        )

    def _timed_out(self, last: ScorelineError | None) -> ScorelineError:
        before = f" The attempt before failed: {last}" if last else ""
        return ScorelineError(
            f"Expected an answer within {self._limit_ms:g} ms; got none. Raise timeout_ms, or submit a job and wait for it.{before}",
            code="timed_out",
            request_id=self.request_id,
        )


def _chunks(response: requests.Response, size: int | None) -> Iterator[bytes]:
    try:
        yield from response.iter_content(size)
    except ValueError as cause:
        # urllib3 takes the length of a chunk for a number without a sign.
        raise requests.exceptions.ChunkedEncodingError(cause) from cause


def _pause_after(failures: int, retry_after_ms: float | None) -> float:
    """Returns at least the Retry-After of the answer, and a random time below a bound that doubles.

    So clients that failed together do not come back together.
    """
    bound_ms: float = min(_FIRST_PAUSE_MS * 2 ** min(failures, 20), _PAUSE_MS_MAX)
    return (retry_after_ms or 0) + random.random() * bound_ms


# Requests


def _ask_score(
    model: str,
    version: str | None,
    input: Input,
    *,
    top: int | None,
    deadline_ms: float | None,
    name: Union[str, uuid.UUID, None, bool],
    priority: str | None,
) -> _Asked:
    body, media_type = _encode_input(input)
    return _Asked(
        "POST",
        ("v1", "models", *_model_path(model, version), "score"),
        query={"top": top, "deadlineMs": deadline_ms},
        headers={"Content-Type": media_type, **_headers(name, priority)},
        body=body,
    )


def _ask_infer(
    model: str,
    version: str | None,
    body: tuple[bytes, int],
    *,
    deadline_ms: float | None,
    name: Union[str, uuid.UUID, None, bool],
    priority: str | None,
) -> _Asked:
    data, json_bytes = body
    return _Asked(
        "POST",
        ("v2", "models", *_model_path(model, version), "infer"),
        query={"deadlineMs": deadline_ms},
        headers={
            "Content-Type": "application/octet-stream",
            _JSON_BYTES: str(json_bytes),
            **_headers(name, priority),
        },
        body=data,
    )


def _ask_job(
    job: JobRef, *more: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> _Asked:
    id = job if isinstance(job, str) else job["id"]
    return _Asked(method, ("v1", "jobs", id, *more), headers=headers)


def _model_path(model: str, version: str | None) -> tuple[str, ...]:
    return (model,) if version is None else (model, "versions", version)


def _headers(name: Union[str, uuid.UUID, None, bool], priority: str | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if priority is not None:
        expected = "'interactive', 'bulk' or None"
        headers["X-Priority"] = _check("priority", priority, "interactive|bulk", expected)
    if name is not False:
        headers["Idempotency-Key"] = _idempotency_key(name)
    return headers


def _idempotency_key(name: Any) -> str:
    if name is None:
        return uuid.uuid4().hex
    if isinstance(name, (str, uuid.UUID)):
        expected = "1 to 255 printable ASCII characters, without a blank or a quote at either end"
        form = r'"[ -~]{1,255}"|(?![ "])[ -~]{1,255}(?<![ "])'
        return _check("idempotency_key", str(name), form, expected)
    # A random key instead would let the service score the repeat again.
    raise TypeError(
        f"Expected idempotency_key to be a text, a UUID, None or False; got {type(name).__name__}."
    )


def _check(name: str, text: str, form: str, expected: str) -> str:
    """Checks what goes into a header. HTTP drops blanks at its ends, and a new line would end it."""
    if isinstance(text, str) and re.fullmatch(form, text, re.ASCII):
        return text
    raise ValueError(f"Expected {name} to be {expected}; got {repr(text)[:80]}.")


def _check_number(name: str, value: Any, expected: str) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and (value > 0 or (value == 0 and expected == "0 or more")):
        return float(value)
    raise ValueError(f"Expected {name} to be a number, {expected}; got {value!r}.")


def _encode_input(input: Input) -> tuple[bytes, str]:
    if isinstance(input, os.PathLike):
        with open(input, "rb") as file:
            return file.read(), "application/octet-stream"
    if isinstance(input, (bytes, bytearray, memoryview)):
        return bytes(input), "application/octet-stream"
    if isinstance(input, Mapping):
        for name, value in input.items():
            try:
                _to_json(value)
            except TypeError as cause:
                raise TypeError(f"The value of {name!r}: {cause}") from None
            except ValueError:
                raise ValueError(
                    f"Expected {name!r} to be a finite number, or None if it is missing; got {value}."
                ) from None
    elif not isinstance(input, (str, list, tuple, int, float, type(None))):
        raise TypeError(
            f"Expected one input: a text, the bytes or the path of a file, a row of a table, or JSON; got {type(input).__name__}."
        )
    try:
        body = _to_json({"input": input})
    except ValueError:
        raise ValueError("Expected finite numbers, and None for missing ones; JSON has no others.") from None
    json.loads(body, object_pairs_hook=_refuse_equal_keys)
    return body, "application/json"


def _to_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, default=_plain).encode()


def _refuse_equal_keys(pairs: list[tuple[str, Any]]) -> None:
    """Different keys of Python, such as 1 and "1", can be one of JSON."""
    keys = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"Expected keys that differ in JSON; several are {json.dumps(key)[:80]} there.")
        keys.add(key)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy, as rows of pandas have them."""
    # numpy makes whole numbers of dates with nanoseconds.
    is_date = getattr(getattr(value, "dtype", None), "kind", None) in ("M", "m")
    if hasattr(value, "tolist") and not is_date:
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"Expected texts, numbers, True, False and None; got {type(value).__name__}.")


def _encode_segment(text: str) -> str:
    # Libraries take these for steps in the path.
    if not isinstance(text, str) or text in ("", ".", ".."):
        raise ValueError(f"Expected the name of a model, a version or a job; got {text!r}.")
    return quote(text, safe="")


def _reason_of(error: BaseException) -> str:
    """Returns what the system says of a lost connection. Other errors are only named: their texts can hold a key."""
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return str(error) or type(error).__name__
    for inner in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(inner, Exception):
            return _reason_of(inner)
    return type(error).__name__


def _read_url(url: str) -> str:
    parts = urlsplit(url)
    # A password must not be shown, so this comes first. Without a scheme, there is no netloc.
    if "@" in (parts.netloc or url):
        raise ValueError("Expected a url without a user and a password; give the client a key.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"Expected url to be the address of the service, as https://scoring.example.com; got {url!r}."
        )
    if parts.query or parts.fragment or re.search(r"\s", url):
        raise ValueError("Expected a url without ?, # and blanks; got one with them.")
    return url.rstrip("/")


def _check_key(key: str) -> str:
    """The text of the error leaves the key out."""
    if isinstance(key, str) and re.fullmatch(_VISIBLE, key):
        return key
    raise ValueError(
        "Expected key to be an API key or a token, of printable ASCII without blanks; got something else."
    )


# Answers


def _parse(response: requests.Response, text: Union[str, bytes]) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        # The service writes no such JSON, so a part of it has been lost on its way.
        is_lost = response.headers.get("Content-Type", "").startswith("application/json")
        message = "Expected an answer in JSON; it could not be parsed."
        raise _unexpected(response, message, is_retryable=is_lost) from cause


def _require(response: requests.Response, document: Any, **types: type) -> Any:
    """Checks the parts of an answer that the client and its callers rely on. A list must hold objects."""

    def fits(value: Any, type: type) -> bool:
        if type is list and isinstance(value, list):
            return all(isinstance(each, dict) for each in value)
        return isinstance(value, type)

    if isinstance(document, dict):
        wrong = [name for name, type in types.items() if not fits(document.get(name), type)]
    else:
        wrong = ["object"]
    if wrong:
        raise _unexpected(
            response, f"Expected an answer of the service; it has no proper {', '.join(wrong)}."
        )
    return document


def _reader(**types: type) -> Callable[[requests.Response, bytes], Any]:
    return lambda response, body: _require(response, _parse(response, body), **types)


_read_score = _reader(model=str, version=str, predictions=list)
_read_summary = _reader(id=str, state=str)
_read_models = _reader(models=list, waiting=list, leftOut=list)


def _read_jobs(response: requests.Response, body: bytes) -> Jobs:
    page: Jobs = _require(response, _parse(response, body), jobs=list)
    for job in page["jobs"]:
        _require(response, job, id=str, state=str)
    return page


def _read_job(response: requests.Response, body: Union[str, bytes]) -> Job:
    job: Job = _require(response, _parse(response, body), id=str, state=str)
    state = job["state"]
    if state == "succeeded":
        result = _require(response, job, result=dict)["result"]
        if "model_name" in result:
            job["result"] = _decode_inference(response, result, b"")
    elif state in ("failed", "cancelled"):
        if _problem_of_job(job) is None:
            raise _unexpected(response, "Expected the problem of a job; got none.")
    elif state not in ("queued", "running", "expired"):
        raise _unexpected(response, f"Expected the state of a job; got {state!r}.")
    return job


def _read_tensors(response: requests.Response, body: bytes) -> Inference:
    said = response.headers.get(_JSON_BYTES, str(len(body)))
    if not re.fullmatch(r"\d{1,15}", said):
        raise _unexpected(response, f"Expected {_JSON_BYTES} to be a number; got {said!r}.")
    json_bytes = int(said)
    return _decode_inference(response, _parse(response, body[:json_bytes]), body[json_bytes:])


def _is_pending(job: Job) -> bool:
    return job["state"] in ("queued", "running")


def _succeeded(job: Job, request_id: str) -> Job:
    if job["state"] == "succeeded":
        return job
    problem = _problem_of_job(job)
    if problem is None:
        raise ScorelineError(
            f"Expected the job {job['id']} to succeed; it has expired: no worker took it before its deadline, or its result is no longer kept. Submit it again, with a longer deadline_ms.",
            code="job_expired",
            request_id=request_id,
        )
    raise _problem_error(problem, request_id)


def _error_of(response: requests.Response, body: bytes, url: str, sent_id: str) -> ScorelineError:
    status = response.status_code
    if 300 <= status < 400:
        to = response.headers.get("Location", "another address")
        return _unexpected(response, f"Expected the service at {url}; it redirects to {to}.")
    request_id = response.headers.get("X-Request-Id", sent_id)
    retry_after_ms = _read_retry_after(response.headers.get("Retry-After"))
    try:
        problem = _problem_of(json.loads(body), status) if status >= 400 else None
    except (ValueError, RecursionError):
        problem = None
    if problem is None:
        text = body[:200].decode(errors="replace")
        return ScorelineError(
            f"Expected an answer of the service; got status {status} from something else, such as a proxy: {text!r}.",
            code="answer_unexpected",
            status=status,
            request_id=request_id,
            retry_after_ms=retry_after_ms,
            # A proxy that has lost its connection to the service says so in words of its own.
            is_retryable=status in (429, 502, 503, 504),
        )
    return _problem_error(problem, request_id, retry_after_ms)


def _problem_of(document: Any, status: Any) -> Problem | None:
    """Reads a problem document, or the error of the Open Inference Protocol.

    The status comes from HTTP: the document holds a copy, and a proxy may have changed the first.
    """
    if not isinstance(document, dict):
        return None
    code, detail = document.get("code"), document.get("detail", document.get("error"))
    if not (isinstance(code, str) and isinstance(detail, str) and isinstance(status, int)):
        return None
    return {
        "type": document.get("type", f"urn:scoreline:error:{code}"),
        "title": document.get("title", code.replace("_", " ")),
        "status": status,
        "code": code,
        "detail": detail,
    }


def _problem_of_job(job: Job) -> Problem | None:
    problem = job.get("problem")
    # HTTP has brought the job, not its problem.
    return _problem_of(problem, problem.get("status") if isinstance(problem, dict) else None)


def _problem_error(
    problem: Problem, request_id: str, retry_after_ms: float | None = None
) -> ScorelineError:
    return ScorelineError(
        problem["detail"],
        code=problem["code"],
        status=problem["status"],
        problem=problem,
        request_id=request_id,
        retry_after_ms=retry_after_ms,
        is_retryable=problem["status"] in (429, 503),
    )


def _unexpected(
    response: requests.Response,
    message: str,
    hint: str = " Is the url of the client that of the service?",
    is_retryable: bool = False,
) -> ScorelineError:
    return ScorelineError(
        message + hint,
        code="answer_unexpected",
        status=response.status_code,
        is_retryable=is_retryable,
        request_id=response.headers.get("X-Request-Id"),
    )


def _read_retry_after(text: str | None) -> float | None:
    """Reads seconds or a date."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\s*\d+\s*", text):
            ms = float(text) * 1000
        else:
            ms = (email.utils.parsedate_to_datetime(text).timestamp() - time.time()) * 1000
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return min(max(ms, 0), _RETRY_AFTER_MS_MAX)


# Events


def _follow(call: _Call, job: JobRef, last_event_id: str | None) -> Iterator[JobEvent]:
    first_id = last_event_id
    failures = 0
    while failures <= call.retries:
        response = _connect(call, job, last_event_id, first_id)
        pause_ms: float = 1000
        # The service ends each connection after some minutes, also while nothing happens to the job.
        is_fruitless = True
        try:
            # The end was told before.
            if response.status_code == 204:
                return
            for field in _read_events(call, response):
                if re.fullmatch(r"\d{1,9}", field.get("retry", "")):
                    pause_ms = float(field["retry"])
                # An event, or a comment, by which the service shows that it is there
                if "data" in field or "" in field:
                    is_fruitless = False
                event = _read_event(response, field)
                if event is None:
                    continue
                last_event_id = event.id or last_event_id
                yield event
                if event.job is not None and not _is_pending(event.job):
                    return
        finally:
            response.close()
        call.sleep(_pause_after(failures if is_fruitless else 0, pause_ms))
        failures = failures + 1 if is_fruitless else 0
    raise ScorelineError(
        f"Expected the events of the job; {failures} connections in a row brought nothing.",
        code="connection_failed",
        request_id=call.request_id,
        is_retryable=True,
    )


def _connect(
    call: _Call, job: JobRef, last_id: str | None, first_id: str | None
) -> requests.Response:
    def ask(id: str | None) -> requests.Response:
        behind = {} if id is None else {"Last-Event-ID": id}
        headers = {"Accept": "text/event-stream", **behind}
        asked = _ask_job(job, "events", headers=headers)
        return call.open(replace(asked, statuses=(200, 204)))

    try:
        response = ask(last_id)
    except ScorelineError as error:
        # What the service no longer knows of the events before, this call has told already.
        if error.code != "event_gone" or last_id == first_id:
            raise
        response = ask(None)
    media_type = response.headers.get("Content-Type", "")
    if response.status_code == 204 or media_type.startswith("text/event-stream"):
        return response
    response.close()
    raise _unexpected(response, f"Expected server-sent events; got {media_type}.")


def _read_events(call: _Call, response: requests.Response) -> Iterator[dict[str, str]]:
    """Yields the fields of events until the body ends, or the connection is lost. A comment has the name ""."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    chunks = _chunks(response, None)
    while True:
        try:
            chunk = next(chunks, None)
        except requests.RequestException:
            return
        if chunk is None:
            return
        if call.remaining_ms() == 0:
            call.sleep(0)
        try:
            rest += decoder.decode(chunk)
        except UnicodeDecodeError as cause:
            raise _unexpected(
                response, "Expected server-sent events in UTF-8; got other bytes."
            ) from cause
        *blocks, rest = re.split(r"(?:\r\n|\n|\r(?!\n)){2}", rest)
        for block in blocks:
            fields: dict[str, str] = {}
            # A value may hold what splitlines() takes for the end of a line, such as U+2028.
            for line in filter(None, re.split(r"\r\n|\n|\r", block)):
                name, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                if name == "data" and name in fields:
                    value = f"{fields[name]}\n{value}"
                fields[name] = value
            yield fields


def _read_event(response: requests.Response, fields: Mapping[str, str]) -> JobEvent | None:
    if "data" not in fields:
        return None
    type, id, data = fields.get("event", "message"), fields.get("id"), fields["data"]
    if type == "message" and id is not None:
        # The next connection names it in a header.
        if not re.fullmatch(_VISIBLE, id):
            raise _unexpected(response, f"Expected the id of an event; got {id!r}.")
        return JobEvent("state", id=id, job=_read_job(response, data))
    # A later version may tell more.
    if type != "position":
        return None
    told = _require(response, _parse(response, data))
    wait_ms = told.get("estimatedWaitMs")
    return JobEvent("position", position=told.get("position"), estimated_wait_ms=wait_ms)


# Tensors

_DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def _encode_tensors(
    inputs: Sequence[Tensor],
    outputs: Sequence[Union[str, Mapping[str, Any]]] | None,
    id: str | None,
) -> tuple[bytes, int]:
    """Returns the body of a request: JSON, and behind it the data of arrays. And how many bytes are JSON."""
    encoded = [_encode_tensor(tensor) for tensor in inputs]
    request: dict[str, Any] = {
        "inputs": [head for head, _ in encoded],
        "parameters": {"binary_data_output": numpy is not None},
    }
    if id is not None:
        request["id"] = id
    if outputs is not None:
        request["outputs"] = [_wanted(output) for output in outputs]
    head = _to_json(request)
    return b"".join([head, *(data for _, data in encoded)]), len(head)


def _wanted(output: Union[str, Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(output, str):
        return {"name": output}
    parameters = {name: value for name, value in output.items() if name != "name"}
    return {"name": output["name"], "parameters": parameters}


def _encode_tensor(tensor: Tensor) -> tuple[dict[str, Any], bytes]:
    name, data, shape = tensor.name, tensor.data, tensor.shape
    datatype = tensor.datatype
    if numpy is not None and isinstance(data, numpy.ndarray):
        if numpy.ma.is_masked(data):
            raise ValueError(
                f"Expected {name!r} without masked elements, which a tensor cannot say; call its filled()."
            )
        shape = data.shape if shape is None else shape
        if data.dtype.kind not in "OSU":
            own = _datatype_of(name, data.dtype)
            if datatype not in (None, own):
                raise TypeError(f"Expected {name!r} to be {datatype}; its array is {own}.")
            raw = data.astype(_DTYPES[own]).tobytes()
            size = {"binary_data_size": len(raw)}
            return {
                "name": name,
                "datatype": own,
                "shape": list(shape),
                "parameters": size,
            }, raw
        data = data.tolist()
    if not isinstance(data, (list, tuple)):
        raise TypeError(
            f"Expected the data of {name!r} to be a numpy array or a list; got {type(data).__name__}."
        )
    first = _first(data)
    if datatype is None:
        datatype = "BYTES" if isinstance(first, (str, bytes)) else None
        datatype = "BOOL" if isinstance(first, bool) else datatype
    if datatype is None or shape is None:
        raise ValueError(
            f"Expected {name!r} to have a shape and, for numbers, a datatype; a list has none of its own."
        )
    head = {"name": name, "datatype": datatype, "shape": list(shape)}
    if datatype != "BYTES" or not isinstance(first, bytes):
        return {**head, "data": _elements(data)}, b""
    # JSON cannot hold the bytes of a file.
    raw = b"".join(_with_length(name, element) for element in _flat(data))
    return {**head, "parameters": {"binary_data_size": len(raw)}}, raw


def _with_length(name: str, element: Any) -> bytes:
    if not isinstance(element, bytes):
        raise TypeError(f"Expected each element of {name!r} to be bytes; got {element!r}.")
    return len(element).to_bytes(4, "little") + element


def _flat(data: Any) -> Iterator[Any]:
    for each in data:
        if isinstance(each, (list, tuple)):
            yield from _flat(each)
        else:
            yield each


def _datatype_of(name: str, dtype: Any) -> str:
    for datatype, known in _DTYPES.items():
        if dtype.kind + str(dtype.itemsize) == numpy.dtype(known).kind + str(
            numpy.dtype(known).itemsize
        ):
            return datatype
    raise TypeError(f"Expected {name!r} of one of {', '.join(_DTYPES)} or BYTES; got {dtype}.")


def _first(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def _elements(data: Any) -> Any:
    """JSON has no NaN and no infinities, so the service takes their names."""
    if numpy is not None and isinstance(data, (numpy.generic, numpy.ndarray)):
        data = data.tolist()
    if isinstance(data, (list, tuple)):
        return [_elements(each) for each in data]
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    return data


class _CutOff(ValueError):
    """A part of an answer has been lost on its way."""


def _decode_inference(response: requests.Response, answer: Any, binary: bytes) -> Inference:
    _require(response, answer, model_name=str, model_version=str, outputs=list)
    outputs: dict[str, Tensor] = {}
    at = 0
    for output in answer["outputs"]:
        _require(response, output, name=str, datatype=str)
        name, datatype, shape = output["name"], output["datatype"], output.get("shape")
        try:
            if "data" in output:
                data = _from_json(datatype, output["data"])
            else:
                size = output["parameters"]["binary_data_size"]
                if size < 0:
                    raise ValueError("its size is not one")
                if size > len(binary) - at:
                    raise _CutOff("the answer ends before its last byte")
                data = _from_bytes(datatype, binary[at : at + size])
                at += size
            outputs[name] = Tensor(name, _to_shape(data, shape), tuple(shape), datatype)
        except (ArithmeticError, LookupError, TypeError, ValueError) as cause:
            raise _unexpected(
                response,
                f"Expected the output {name!r} to be {datatype} of the shape {shape}; it could not be read: {cause}.",
                hint="",
                is_retryable=isinstance(cause, _CutOff),
            ) from cause
    return Inference(answer["model_name"], answer["model_version"], answer.get("id"), outputs)


def _to_shape(data: Any, shape: Any) -> Any:
    # numpy would take -1 for any size.
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("the shape is not one")
    if len(data) != math.prod(shape):
        raise ValueError(f"{len(data)} elements came")
    return data if numpy is None else data.reshape(shape)


def _from_json(datatype: str, data: Any) -> Any:
    if not isinstance(data, list):
        raise TypeError("the data is not a list")
    if datatype.startswith("FP"):
        # JSON may have whole numbers in their place, and has names for those that are not finite.
        data = [float(element) for element in data]
    else:
        kind = {"BYTES": str, "BOOL": bool}.get(datatype, int)
        if any(type(element) is not kind for element in data):
            raise TypeError("an element has another type")
    if numpy is None:
        return data
    return numpy.array(data, dtype=object if datatype == "BYTES" else _DTYPES[datatype])


def _from_bytes(datatype: str, data: bytes) -> Any:
    if numpy is None:
        raise ValueError("bytes came, though JSON was asked for")
    if datatype != "BYTES":
        return numpy.frombuffer(data, dtype=_DTYPES[datatype])
    strings: list[str] = []
    at = 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            raise ValueError(f"element {len(strings)} ends behind its last byte")
        try:
            strings.append(data[start:at].decode())
        except UnicodeDecodeError as cause:
            raise ValueError(
                f"element {len(strings)} is not UTF-8. Let the model answer with bytes in base64"
            ) from cause
    return numpy.array(strings, dtype=object)
