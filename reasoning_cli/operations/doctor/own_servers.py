"""What `doctor` asks the operator's own servers: is the model there, and can its slot use what it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from reasoning_cli import settings as s
from reasoning_cli.decisions.answers import InvalidAnswer, cut_of, decision_of, is_natural_end, read_answer
from reasoning_cli.engines.errors import MissingError, UnreachableError
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.operations.deploy.own_server import OwnServer, own_server
from reasoning_cli.operations.deploy.smoke_test import built_in_question
from reasoning_cli.operations.doctor.check import Check, ok, warn
from reasoning_cli.redact import bare_address
from reasoning_cli.settings import Settings
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Answering, ListingServer

# What a first answer may take beside the slot's deadline: servers load a model when it is first asked for.
_PATIENCE_SECONDS = 30.0


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
        with closing(server.connect(patience)) as client:
            try:
                if server.lists:
                    yield from _checks(settings, server, cast("ListingServer", client))
                else:
                    yield from _decision(settings, server, client)
            except ReasoningError as error:
                name = spell_model_type(model_type)
                yield warn("gateway", f"{name}: {error.message}", f"reasoning models test {name}")


def _checks(settings: Settings, server: OwnServer, client: ListingServer) -> Iterator[Check]:
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
    window = settings.get(s.WINDOW_TOKENS[server.model_type])
    tokens = next((model.context_tokens for model in listed if model.name == server.model), None)
    if tokens is not None and tokens < window:
        yield warn(
            "gateway",
            f"{name}: the context there is {tokens:,} tokens, and the slot sends up to {window:,}",
            f"reasoning config set {server.model_type}.window_tokens {tokens}",
        )
    yield from _decision(settings, server, client)
    if not client.keeps_max_tokens(server.model):
        yield warn(
            "gateway",
            f"{name}: the server ignores max_tokens, so that an answer may run to the end of its context",
            f"reasoning config set {server.model_type}.deadline_ms MILLISECONDS",
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
    if wanted is not None and not said.tells_probabilities:
        yield warn(
            "gateway",
            f"{name}: the server tells no probabilities, so no answer reaches the confidence of {wanted}, and the"
            " original answers them all",
            f"reasoning config unset {model_type}.confidence",
        )
