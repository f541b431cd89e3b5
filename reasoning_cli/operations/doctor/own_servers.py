"""What `doctor` asks the operator's own servers: is the model there, and can its slot use what it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from reasoning_cli import settings as s
from reasoning_cli.decisions.answers import InvalidAnswer, cut_of, decision_of, is_natural_end, read_answer
from reasoning_cli.engines.errors import MissingError, RequestRefusedError, UnreachableError
from reasoning_cli.engines.serving import ServedAnswer
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.operations.agents.env import why_not_free
from reasoning_cli.operations.deploy.own_server import OwnServer, is_another_model, own_server
from reasoning_cli.operations.deploy.smoke_test import built_in_question
from reasoning_cli.operations.doctor.check import Check, ok, warn
from reasoning_cli.redact import bare_address
from reasoning_cli.settings import Settings
from reasoning_cli.values import MODEL_TYPES, TokenLimit, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Answering, ListingServer

# What a first answer may take beside the slot's deadline: servers load a model when it is first asked for.
_PATIENCE_SECONDS = 30.0
# A prompt that does not fit is refused before it is read; one that fits is read at 50 tokens a second on a CPU.
_LONG_PROMPT_SECONDS = 5.0
_CLOCK: Mapping[str, object] = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time of day.",
        "parameters": {"type": "object", "properties": {}, "required": []},
    },
}


def check_own_servers(settings: Settings) -> Iterator[Check]:
    """Each slot with a server of its own: a built-in decision is asked there, never one of the log."""
    for model_type in MODEL_TYPES:
        try:
            server = own_server(settings, model_type)
            patience = settings.get(s.DEADLINE_MS[model_type]) / 1000 + _PATIENCE_SECONDS
        except ConfigurationError:
            continue  # shown among the settings
        if server is None:
            continue
        name = spell_model_type(model_type)
        with ExitStack() as opened:
            try:
                client = opened.enter_context(closing(server.connect(patience)))
                if server.lists:
                    yield from _checks(settings, server, cast("ListingServer", client), patience, opened)
                else:
                    yield from _decision(settings, server, client)
            except ReasoningError as error:
                yield warn("gateway", f"{name}: {error.message}", f"reasoning models test {name}")


def _checks(
    settings: Settings, server: OwnServer, client: ListingServer, patience: float, opened: ExitStack
) -> Iterator[Check]:
    name, url = spell_model_type(server.model_type), bare_address(server.url)
    fix = f"reasoning config set {server.model_type}.provider_url URL"
    try:
        listed = client.models()
    except UnreachableError as error:
        why = error.message.rpartition("`: ")[2]
        yield warn("gateway", f"{name} is served at {url}, which cannot be reached: {why}", fix)
        return
    except MissingError:
        yield warn("gateway", f"{name} is served at {url}, where no OpenAI-compatible API is (is /v1 missing?)", fix)
        return
    except ReasoningError:
        listed = []  # it may answer all the same
    yield ok("gateway", f"{name} is served at {url}, which answers")
    names = [model.name for model in listed]
    if names and server.model not in names:
        others = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        yield warn(
            "gateway",
            f"{name}: {server.model} is not among the models listed there ({others})",
            f"reasoning config set {server.model_type}.model {names[0]}",
        )
    limit, found = _limit(server, client, patience)
    if found is not None:
        yield found
    if limit is not server.max_tokens_name:
        server = replace(server, max_tokens_name=limit)
        client = opened.enter_context(closing(_listing(server, patience)))
    yield from _decision(settings, server, client)
    if settings.get(s.TOOLS[server.model_type]):
        yield from _tools(server, client)
    tokens = next((model.context_tokens for model in listed if model.name == server.model), None)
    yield from _load(settings, server, client, tokens, patience)


def _listing(server: OwnServer, patience: float) -> ListingServer:
    return cast("ListingServer", server.connect(patience))


def _limit(server: OwnServer, client: ListingServer, patience: float) -> tuple[TokenLimit, Check | None]:
    """The name by which the server keeps to the limit of an answer, and what is to be said where it is not the set one:
    llama.cpp's Python server ignores `max_completion_tokens`, OpenAI's newer models refuse `max_tokens`."""
    name, model_type = spell_model_type(server.model_type), server.model_type
    what = "ignores"
    try:
        if client.keeps_max_tokens(server.model):
            return server.max_tokens_name, None
    except RequestRefusedError as refusal:
        if server.max_tokens_name not in refusal.message:
            raise
        what = "refuses"
    other = next(limit for limit in TokenLimit if limit is not server.max_tokens_name)
    with closing(_listing(replace(server, max_tokens_name=other), patience)) as second:
        try:
            keeps = second.keeps_max_tokens(server.model)
        except RequestRefusedError:
            keeps = False
    if keeps:
        found = f"{name}: the server {what} {server.max_tokens_name}, and keeps to {other}"
        return other, warn("gateway", found, f"reasoning config set {model_type}.max_tokens_name {other}")
    return server.max_tokens_name, warn(
        "gateway",
        f"{name}: the server {what} {server.max_tokens_name}, so that an answer may run to the end of its context",
        f"reasoning config set {model_type}.deadline_ms MILLISECONDS",
    )


def _tools(server: OwnServer, client: ListingServer) -> Iterator[Check]:
    """Whether it calls a tool that it must call: some take tools and answer in text all the same."""
    name = spell_model_type(server.model_type)
    said = client.chat(
        server.model, [{"role": "user", "content": "What time is it?"}], max_tokens=server.max_tokens, tools=(_CLOCK,)
    )
    if not said.calls_tools:
        found = f"{name}: the server ignores tools: it was to call one, and answered in text"
        yield warn("gateway", found, f"reasoning config set {server.model_type}.tools false")


def _load(
    settings: Settings, server: OwnServer, client: ListingServer, tokens: int | None, patience: float
) -> Iterator[Check]:
    """How long a prompt it takes, and how many questions. Both are tried only where no gateway runs here and the server
    is on this machine: a second question could cut off an answer that an agent waits for, and a long prompt costs."""
    model_type, name = server.model_type, spell_model_type(server.model_type)
    window, parallel = settings.get(s.WINDOW_TOKENS[model_type]), server.parallel
    shorter, said = tokens if tokens is not None and tokens < window else None, tokens
    quiet = server.is_here and why_not_free(settings.get(s.GATEWAY_PORT)) is None
    if shorter is None and quiet:
        try:
            client.takes_tokens(server.model, window, min(patience, _LONG_PROMPT_SECONDS))
        except RequestRefusedError as refusal:
            tokens = refusal.context_tokens
            shorter = tokens or 0
    if shorter is not None:
        is_said = "" if said is None or said == tokens else f", not {said:,} as it lists"
        found = f"the context there is {tokens:,} tokens{is_said}" if tokens else "its context is shorter"
        yield warn(
            "gateway",
            f"{name}: {found}, and the slot sends up to {window:,}",
            f"reasoning config set {model_type}.window_tokens {tokens or 'TOKENS'}",
        )
    if parallel is None and quiet and client.takes_two(server.model, patience) is False:
        yield warn(
            "gateway",
            f"{name}: the server answers one question at a time, and a second waits or cuts the first off",
            f"reasoning config set {model_type}.parallel 1",
        )


def _decision(settings: Settings, server: OwnServer, client: Answering) -> Iterator[Check]:
    """What came of a decision in the slot's form: valid, in time, and as sure as it is told."""
    model_type, name = server.model_type, spell_model_type(server.model_type)
    question = built_in_question(model_type, str(settings.get(s.PROMPT_FORM[model_type])))
    deadline = settings.get(s.DEADLINE_MS[model_type])
    wanted = settings.get(s.CONFIDENCE[model_type])
    started = time.perf_counter()
    said = client.chat(
        server.model,
        [{"role": "user", "content": question.prompt}],
        max_tokens=server.max_tokens,
        probabilities=wanted is not None,
    )
    milliseconds = round((time.perf_counter() - started) * 1000)
    answer = read_answer(model_type, question.prompt, said.text)
    if not (isinstance(answer, InvalidAnswer) or is_natural_end(said.finish_reason)):
        answer = InvalidAnswer(f"cut ({cut_of(said.finish_reason)})")
    took = f"{name}: {server.model} answered a built-in decision in {milliseconds:,} ms"
    if isinstance(answer, InvalidAnswer):
        yield warn("gateway", f"{took}, and not as an agent needs it: {answer.reason}", f"reasoning models test {name}")
    elif milliseconds > deadline:
        fix = f"reasoning config set {model_type}.deadline_ms {-(-milliseconds // 1000) * 2000}"
        yield warn("gateway", f"{took}; its deadline is {deadline:,} ms", fix)
    else:
        yield ok("gateway", f"{took}: {decision_of(answer)}")
    if isinstance(said, ServedAnswer) and is_another_model(server.model, said.model):
        yield warn(
            "gateway",
            f"{name}: asked for {server.model}, the server answers as {said.model}; the original answers in its place",
            f"reasoning config set {model_type}.model {said.model}",
        )
    if wanted is not None and not said.tells_probabilities:
        yield warn(
            "gateway",
            f"{name}: the server tells no probabilities, so no answer reaches the confidence of {wanted}, and the"
            " original answers them all",
            f"reasoning config unset {model_type}.confidence",
        )
