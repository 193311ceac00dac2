"""The OpenAI-compatible face, with OpenAI's own client over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from api.app import create_app
from api.auth.store import KeyStore
from api.auth.who import Who
from api.openai.replies import Reply, without_footnotes
from api.openai.stream import streamed
from rag import Settings, load_settings, open_footnote
from rag.core.errors import FootnoteError, StoreCorrupt
from rag.core.types import (
    Answer,
    AnswerEvent,
    AnswerSentence,
    Citation,
    Final,
    PackedContext,
    Retrieval,
    Retrieved,
    Sentence,
    Verdict,
)
from tests.api.sockets import on_a_socket
from tests.rag.chat_server import chat_server, then_waits, writes

QUESTION = "How many vacation days can I carry over?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
ELSEWHERE: list[Any] = [{"role": "user", "content": "Who won the chess tournament in Reykjavik?"}]


@asynccontextmanager
async def opened(settings: Settings, **more: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    with open_footnote(settings) as footnote:
        async with (
            on_a_socket(create_app(settings, footnote)) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, **more) as client,
        ):
            yield client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[openai.AsyncOpenAI]:
    async with opened(settings) as client:
        yield client


async def test_an_answer_carries_its_footnotes_as_annotations_and_in_the_text(
    client: openai.AsyncOpenAI,
) -> None:
    completion = await client.chat.completions.create(model="footnote", messages=ASKED)

    assert completion.model == "footnote"
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.id.endswith(completion._request_id or "-")
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    content, annotations = choice.message.content or "", choice.message.annotations or []
    assert "five unused vacation days" in content
    assert "- [1] hr/leave.md, Leave policy › Vacation: “Up to five unused" in content
    first = annotations[0].url_citation
    assert content[first.start_index : first.end_index].endswith("[1].")
    assert first.title == "Leave policy"

    citation = annotations[0].to_dict()["footnote"]
    assert isinstance(citation, dict)
    assert first.url == f"/#/source/{citation['source_id']}?start={citation['start']}&end={citation['end']}"
    async with httpx.AsyncClient(base_url=str(client.base_url)) as http:
        text = (await http.get(f"documents/{citation['source_id']}/content")).text
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 0  # quoted sentences cost no tokens


async def test_what_is_streamed_is_what_is_sent_whole(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="footnote", messages=ASKED)
    chunks = [
        one
        async for one in await client.chat.completions.create(model="footnote", messages=ASKED, stream=True)
    ]

    assert len({(one.id, one.created, one.model, one.object) for one in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(one.choices[0].delta.content or "" for one in chunks)
    assert text == whole.choices[0].message.content
    assert [one.choices[0].finish_reason for one in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all(one.usage is None for one in chunks)


async def test_the_streaming_helper_gathers_text_annotations_and_usage(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="footnote", messages=ASKED)
    options: Any = {"include_usage": True}
    async with client.chat.completions.stream(
        model="footnote", messages=ASKED, stream_options=options
    ) as stream:
        kinds = [event.type async for event in stream]
        gathered = await stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= set(kinds)
    message, expected = gathered.choices[0].message, whole.choices[0].message
    assert message.content == expected.content
    assert [one.url_citation for one in message.annotations or []] == [
        one.url_citation for one in expected.annotations or []
    ]
    assert gathered.usage is not None
    assert gathered.usage == whole.usage


async def test_the_synchronous_client_works_too(settings: Settings) -> None:
    def ask(url: str) -> str:
        with (
            openai.OpenAI(base_url=url, api_key="unused") as client,
            client.chat.completions.stream(model="footnote", messages=ASKED) as stream,
        ):
            return stream.get_final_completion().choices[0].message.content or ""

    async with opened(settings) as client:
        assert "five unused vacation days" in await asyncio.to_thread(ask, str(client.base_url))


async def test_a_follow_up_question_is_understood_from_the_turns_before_it(
    client: openai.AsyncOpenAI,
) -> None:
    first = await client.chat.completions.create(model="footnote", messages=ASKED)
    turns: list[Any] = [
        {"role": "system", "content": "You are a pirate."},
        *ASKED,
        first.choices[0].message.to_dict(),  # as it came, annotations and all
        {"role": "user", "content": [{"type": "text", "text": "When do they expire?"}]},
    ]
    second = await client.chat.completions.create(model="footnote", messages=turns, temperature=0.3)

    assert "31 March" in (second.choices[0].message.content or "")
    notices = " ".join(second.to_dict()["footnote"]["notices"])  # type: ignore[index]
    assert "System messages are passed over" in notices
    assert "temperature: passed over" in notices


async def test_abstaining_is_an_answer_that_says_where_to_look(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="footnote", messages=ELSEWHERE)

    message = completion.choices[0].message
    assert (message.content or "").startswith("The documents don't say.")
    assert message.annotations == []
    assert completion.choices[0].finish_reason == "stop"
    assert completion.to_dict()["footnote"]["abstained"] is True  # type: ignore[index]


async def test_models_are_knowledge_bases_and_the_encoder(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["footnote", "footnote/default", "all-MiniLM-L6-v2"]
    for name in names:
        assert (await client.models.retrieve(name)).id == name
    completion = await client.chat.completions.create(model="footnote/default", messages=ASKED)
    assert "five unused vacation days" in (completion.choices[0].message.content or "")
    for unknown in ("gpt-4o", "footnote/none", "footnote/../x", "all-MiniLM-L6-v2"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model=unknown, messages=ASKED)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4o")


async def test_embeddings_are_those_that_search(client: openai.AsyncOpenAI, settings: Settings) -> None:
    texts = ["Five days carry over.", "The certificate has expired."]
    with open_footnote(settings) as footnote:
        expected = footnote.embedder.embed(texts, "document")

    decoded = await client.embeddings.create(
        model="all-MiniLM-L6-v2", input=texts
    )  # the client asks for base64
    numbers = await client.embeddings.create(model="footnote", input=texts, encoding_format="float")
    for found in (decoded, numbers):
        assert [one.index for one in found.data] == [0, 1]
        np.testing.assert_allclose([one.embedding for one in found.data], expected, atol=1e-6)
        assert found.usage.prompt_tokens == found.usage.total_tokens == 10
    raw = await client.embeddings.create(model="footnote", input=texts[0], encoding_format="base64")
    vector = np.frombuffer(base64.b64decode(str(raw.data[0].embedding)), "<f4")
    np.testing.assert_allclose(vector, expected[0], atol=1e-6)
    asked: Any = {"input_type": "query"}
    query = await client.embeddings.create(model="footnote", input=texts[0], extra_body=asked, dimensions=384)
    assert len(query.data[0].embedding) == 384


NOT_EMBEDDED: list[tuple[dict[str, Any], str]] = [
    ({"input": ""}, "input"),
    ({"input": ["a", " "]}, "input[1]"),
    ({"input": []}, "input"),
    ({"input": [[1, 2]]}, "input"),
    ({"input": ["a", "long " * 400]}, "input[1]"),
    ({"dimensions": 12}, "dimensions"),
    ({"encoding_format": "int8"}, "encoding_format"),
    ({"extra_body": {"surprise": 1}}, "surprise"),
]


async def test_what_cannot_be_embedded_is_refused(client: openai.AsyncOpenAI) -> None:
    for fault, param in NOT_EMBEDDED:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(**{"model": "footnote", "input": "words", **fault})
        assert caught.value.param == param, fault


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"n": 2}, "n", "unsupported_parameter"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
    ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
    ({"logprobs": True}, "logprobs", "unsupported_parameter"),
    ({"extra_body": {"surprise": 1}}, "surprise", "unknown_parameter"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid-request"),
    ({"messages": []}, "messages", "invalid-request"),
    ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role", "invalid-request"),
    ({"messages": [*ASKED, {"role": "user", "content": 4}]}, "messages[1].content", "invalid-request"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages", "invalid-question"),
    ({"messages": [*ASKED, {"role": "assistant", "content": "Five"}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "unsupported_parameter"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
        "unsupported_parameter",
    ),
]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_meant_is_refused(client: openai.AsyncOpenAI, stream: bool) -> None:
    for fault, param, code in REFUSED:
        if "stream_options" in fault and stream:
            continue  # there they are meant
        asked = {"model": "footnote", "messages": ASKED, "stream": stream, **fault}
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**asked)
        error = caught.value
        assert (error.param, error.code, error.type) == (param, code, "invalid_request_error"), fault
        assert str(error.body["message"]).endswith(".")  # type: ignore[index]


async def test_parameters_at_the_value_that_is_meant_anyway_are_taken(client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model="footnote", messages=ASKED, n=1, logprobs=False, response_format={"type": "text"}, user="u",
        metadata={"a": "b"}, store=False, top_p=None, max_tokens=5,
    )  # fmt: skip


async def test_errors_of_the_layers_around_are_in_the_same_shape(http: httpx.AsyncClient) -> None:
    for headers, content, status in (
        ({"origin": "https://evil.example"}, b"{}", 403),
        ({}, b"{", 400),
        ({}, b"x" * (1 << 21), 413),
        ({}, b'{"model": "footnote", "\\ud800": 1, "messages": []}', 400),
        ({}, b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}', 404),
    ):
        sent = {"content-type": "application/json", **headers}
        reply = await http.post("/v1/chat/completions", content=content, headers=sent)
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    half = b'{"model": "footnote", "input": "\\ud800"}'
    reply = await http.post("/v1/embeddings", content=half, headers={"content-type": "application/json"})
    assert reply.json()["error"]["param"] == "input"
    assert (await http.get("/v1/embeddings")).json()["error"]["code"] == "method-not-allowed"
    assert (await http.get("/v1/search")).json()["code"] == "method-not-allowed"  # a problem, elsewhere


async def test_keys_and_quotas_raise_the_exceptions_that_clients_know(writable: Path) -> None:
    settings = load_settings(store=writable)
    keys = KeyStore(writable)
    ask = Who(label="bot", scopes=frozenset({"ask"}), questions_per_day=1)
    key, loads = keys.create(ask).text, keys.create(Who(label="loader", scopes=frozenset({"ingest"}))).text
    theirs = keys.create(Who("other", "bot", frozenset({"ask"}))).text
    keys.close()
    async with opened(settings) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
        with pytest.raises(openai.PermissionDeniedError):
            await client.with_options(api_key=loads).models.list()
        mine = client.with_options(api_key=key)
        await mine.chat.completions.create(model="footnote", messages=ASKED)
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as caught:
                await mine.chat.completions.create(model="footnote", messages=ASKED, stream=stream)
            assert caught.value.type == "rate_limit_error"
            assert int(caught.value.response.headers["retry-after"]) > 0
        other = client.with_options(api_key=theirs)
        assert [model.id async for model in other.models.list()] == ["all-MiniLM-L6-v2"]
        with pytest.raises(openai.NotFoundError):
            await other.chat.completions.create(model="footnote/default", messages=ASKED)


# With a chat model


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_and_an_early_end_are_told(settings: Settings, stream: bool) -> None:
    used = {"prompt_tokens": 321, "completion_tokens": 12, "total_tokens": 333}
    act = writes(
        "Up to five unused vacation days can be carried over [1]. They exp", finish="length", usage=used
    )
    async with chat_server(act) as server:
        writing = load_settings(store=settings.store, llm_base_url=server.base_url)
        async with opened(writing) as client:
            if stream:
                options: Any = {"include_usage": True}
                reading = client.chat.completions.stream(
                    model="footnote", messages=ASKED, stream_options=options
                )
                async with reading as events:
                    # Its last word on an answer that is cut short is an exception of the client's own.
                    completion: Any = (await events.until_done()).current_completion_snapshot
            else:
                completion = await client.chat.completions.create(model="footnote", messages=ASKED)
    assert completion.choices[0].finish_reason == "length"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (321, 12)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_moderation_blocks_ends_as_content_filter(
    settings: Settings, tmp_path: Any, stream: bool
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("[violence]\n\\bvacation\\b\n")
    strict = load_settings(store=settings.store, moderation="rules", moderation_rules=rules)
    async with opened(strict) as client:
        reply: Any = await client.chat.completions.create(model="footnote", messages=ASKED, stream=stream)
        choices = [one.choices[0] async for one in reply] if stream else reply.choices
    assert choices[-1].finish_reason == "content_filter"
    text = "".join(one.delta.content or "" for one in choices) if stream else choices[0].message.content
    assert "goes against the rules" in text


async def test_a_client_who_leaves_ends_the_answer(settings: Settings) -> None:
    sentence = "Up to five unused vacation days can be carried over into the next year [1]. They"

    async def leaves_a_stream(client: openai.AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(model="footnote", messages=ASKED, stream=True)
        async for chunk in stream:
            if "five unused" in (chunk.choices[0].delta.content or ""):
                break
        await stream.close()

    async def gives_up_waiting(client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="footnote", messages=ASKED, timeout=1.0)

    leave: Callable[[openai.AsyncOpenAI], Awaitable[None]]
    for leave in (leaves_a_stream, gives_up_waiting):
        async with chat_server(then_waits(sentence)) as server:
            writing = load_settings(store=settings.store, llm_base_url=server.base_url, answer_cache=False)
            async with opened(writing) as client:
                await leave(client)
                await asyncio.wait_for(server.hung_up.wait(), 5)
    assert not (settings.store / "footnote-errors.log").exists()


# The events, whatever an answer holds

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: text.strip()
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Sentence], Answer]:
    events: list[Sentence] = []
    markers: list[int] = []
    for _ in range(draw(st.integers(0, 4))):
        new = []
        for _ in range(draw(st.integers(0, 2))):
            markers.append(len(markers) + 1)
            quote = draw(TEXTS)
            new.append(
                Citation(
                    markers[-1], draw(TEXTS), "ab" * 16, draw(TEXTS), draw(st.none() | st.integers(1, 9)),
                    (), 3, 3 + len(quote), quote, Verdict.SUPPORTED,
                )
            )  # fmt: skip
        cited = tuple(
            dict.fromkeys([one.marker for one in new] + draw(st.lists(st.sampled_from(markers or [1]))))
        )
        said = AnswerSentence(draw(TEXTS), tuple(one for one in cited if one in markers), Verdict.SUPPORTED)
        events.append(Sentence(said, tuple(new)))
    text = " ".join(event.sentence.text for event in events) or "The documents don't say."
    citations = tuple(citation for event in events for citation in event.citations)
    sentences = tuple(event.sentence for event in events)
    return events, Answer(
        text, sentences, citations, not events, 0.5, "extractive", truncated=draw(st.booleans())
    )


def read_by_the_client(body: bytes, cuts: list[int]) -> tuple[list[ChatCompletionChunk], Any]:
    """What OpenAI's client makes of the bytes, however the network cuts them: the chunks, and its helper's sum."""
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    parts = [body[a:b] for a, b in pairwise(edges)]

    def reply(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(parts))

    http = httpx2.Client(transport=httpx2.MockTransport(reply))
    with openai.OpenAI(
        base_url="http://footnote/v1", api_key="unused", http_client=http, max_retries=0
    ) as client:
        chunks = list(client.chat.completions.create(model="footnote", messages=ASKED, stream=True))
        with client.chat.completions.stream(model="footnote", messages=ASKED) as stream:
            return chunks, stream.until_done().current_completion_snapshot


async def body_of(
    events: list[AnswerEvent], tmp: Any, error: Exception | None = None, usage: bool = False
) -> bytes:
    async def rest() -> Any:
        for event in events[1:]:
            yield event
        if error is not None:
            raise error

    reply = Reply("t" * 32, "footnote", None)
    return b"".join([part async for part in streamed(events[0], rest(), reply, tmp, with_usage=usage)])


@settings_of(max_examples=40)
@given(answers(), st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
def test_every_answer_survives_the_stream(
    tmp_path_factory: pytest.TempPathFactory,
    answered: tuple[list[Sentence], Answer],
    cuts: list[int],
    usage: bool,
) -> None:
    sentences, answer = answered
    retrieved = Retrieved(Retrieval("q", (), "hybrid"), PackedContext((), 0))
    events: list[AnswerEvent] = [retrieved, *sentences, Final(answer)]
    body = asyncio.run(body_of(events, tmp_path_factory.getbasetemp(), usage=usage))
    chunks, gathered = read_by_the_client(body, cuts)

    assert body.endswith(b"data: [DONE]\n\n")
    message = gathered.choices[0].message
    assert message.content == "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    found = message.annotations or []
    cited = [(event.sentence, marker) for event in sentences for marker in event.sentence.citations]
    assert len(found) == len(cited)
    for annotation, (sentence, marker) in zip(found, cited, strict=True):
        place = annotation.url_citation
        assert message.content[place.start_index : place.end_index] == sentence.text
        assert annotation.to_dict()["footnote"]["marker"] == marker
    assert gathered.choices[0].finish_reason == ("length" if answer.truncated else "stop")
    assert sum(one.usage is not None for one in chunks) == usage
    assert without_footnotes(message.content) == message.content.split("\n\n- [1] ")[0]


@pytest.mark.parametrize(
    "error", [StoreCorrupt("The store is broken; run doctor."), ZeroDivisionError("secret")]
)
async def test_an_error_after_the_first_words_is_the_last_event(error: Exception, tmp_path: Any) -> None:
    said = AnswerSentence("Five days.", (), Verdict.SUPPORTED)
    retrieved = Retrieved(Retrieval("q", (), "hybrid"), PackedContext((), 0))
    body = await body_of([retrieved, Sentence(said, ())], tmp_path, error)

    assert b"[DONE]" not in body
    assert b"secret" not in body
    with pytest.raises(openai.APIError) as caught:
        read_by_the_client(body, [])
    assert caught.value.type == "server_error"
    assert (
        str(caught.value) == str(error) if isinstance(error, FootnoteError) else "report" in str(caught.value)
    )
    assert json.loads(body.split(b"data: ")[2])["choices"][0]["delta"] == {"content": "Five days."}
