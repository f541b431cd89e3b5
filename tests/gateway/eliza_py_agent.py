"""An agent on Python elizaOS 2.0, run by the Python it is for: `eliza_py_agent.py LEVEL WAY < MESSAGES`; a line of JSON
a message. MESSAGES is a JSON list of `[GROUP or DM, text]`.

WAY is how the runtime takes its model's answer: `whole`; `validated`, as a stream in which it looks for the codes of
its fields while they come; or `streamed`, as a stream that goes to the caller as it is.
"""

import asyncio
import contextlib
import json
import sys
import uuid

from elizaos import AgentRuntime, Character, Content, Memory, as_uuid
from elizaos_plugin_inmemorydb import create_database_adapter
from elizaos_plugin_openai.plugin import create_openai_elizaos_plugin


def stream_in(runtime: AgentRuntime) -> list[str]:
    """Have the runtime stream the answers it validates; what it lets through is put into the list."""
    execute, chunks = runtime.dynamic_prompt_exec_from_state, []

    async def streaming(*, options, **more):
        options.on_stream_chunk = lambda chunk, _: chunks.append(chunk)
        options.model = "TEXT_LARGE"  # 2.0.0a5 makes of its own constant a name that no model has
        return await execute(options=options, **more)

    runtime.dynamic_prompt_exec_from_state = streaming
    return chunks


async def answer(runtime: AgentRuntime, way: str, message: Memory) -> tuple[bool, str | None]:
    """Whether the agent answered, and what."""
    if way == "streamed":
        text = ""
        with contextlib.suppress(ValueError):  # 2.0.0a5 fails when it stores an answer that it has streamed
            async for part in runtime.message_service.handle_message_stream(runtime, message):
                text += part if isinstance(part, str) else ""
        return bool(text), text
    result = await runtime.message_service.handle_message(runtime, message, None)
    return result.did_respond, result.response_content.text if result.response_content else None


async def main() -> None:
    level, way = sys.argv[1:]
    agent = as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, "nova")))
    runtime = AgentRuntime(
        character=Character(name="Nova", bio="test agent", system="You are Nova."),
        agent_id=agent,
        adapter=create_database_adapter(str(agent)),
        plugins=[create_openai_elizaos_plugin()],
        log_level="CRITICAL",
        settings={} if level == "default" else {"VALIDATION_LEVEL": level},
    )
    await runtime.initialize()
    chunks = stream_in(runtime) if way == "validated" else []
    for kind, text in json.load(sys.stdin):
        message = Memory(
            id=as_uuid(str(uuid.uuid4())),
            entity_id=as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, "alice"))),
            room_id=as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, kind))),
            agent_id=agent,
            content=Content(text=text, source="test", channel_type=kind),
        )
        chunks.clear()
        answered, said = await answer(runtime, way, message)
        sys.stdout.write(json.dumps({"answered": answered, "text": said, "chunks": "".join(chunks)}) + "\n")
        sys.stdout.flush()
    await runtime.stop()


asyncio.run(main())
