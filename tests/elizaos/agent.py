"""An agent on Python elizaOS 2.0 with our plug-in, run by the Python that has the runtime: `python -m
tests.elizaos.agent`. Commands come in and answers go out as lines of JSON; see `tests.elizaos.driving`."""

import asyncio
import contextlib
import json
import sys
import uuid

from elizaos import AgentRuntime, Character, Content, Memory, as_uuid
from elizaos_plugin_inmemorydb import create_database_adapter
from elizaos_plugin_openai.plugin import create_openai_elizaos_plugin

from reasoning_cli.elizaos import reasoning_plugin
from reasoning_cli.elizaos.agent import Agent

AGENT = as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, "nova")))


class Driven:
    """One runtime, and what a test may do to it. `attached` is ours in it, None without the plug-in."""

    def __init__(self) -> None:
        self.runtime, self.attached, self.before = None, None, {}

    async def start(self, level="default", plugin=True, settings=None, **options):
        attach, found = Agent.attach.__func__, []

        async def attaching(cls, runtime, *rest, **more):
            self.before = dict(vars(runtime))
            found.append(await attach(cls, runtime, *rest, **more))
            return found[0]

        Agent.attach = classmethod(attaching)
        self.runtime = AgentRuntime(
            character=Character(name="Nova", bio="test agent", system="You are Nova."),
            agent_id=AGENT,
            adapter=create_database_adapter(str(uuid.uuid4())),
            plugins=[create_openai_elizaos_plugin(), *([reasoning_plugin(**options)] if plugin else [])],
            log_level="CRITICAL",
            settings={**({} if level == "default" else {"VALIDATION_LEVEL": level}), **(settings or {})},
        )
        await self.runtime.initialize()
        self.attached = found[0] if found else None
        Agent.attach = classmethod(attach)
        return {"placed": self.attached is not None and not self.attached.override.is_clean}

    async def stream_in(self):
        """Have the runtime take its answers as streams that it validates while they come."""
        execute, self.chunks = self.runtime.dynamic_prompt_exec_from_state, []

        async def streaming(*, options, **more):
            options.on_stream_chunk = lambda chunk, _: self.chunks.append(chunk)
            options.model = "TEXT_LARGE"  # 2.0.0a5 makes of its own constant a name that no model has
            return await execute(options=options, **more)

        self.runtime.dynamic_prompt_exec_from_state = streaming
        return {}

    async def streamed(self):
        chunks, self.chunks[:] = "".join(self.chunks), []
        return {"chunks": chunks}

    async def stop(self):
        stopping = asyncio.ensure_future(self.runtime.stop())
        await asyncio.sleep(0)
        if self.attached is not None:
            self.attached.follow()  # as a look that was under way does
        await stopping
        return {"clean": self.is_clean()}

    def is_clean(self):
        """Whether the runtime has the attributes it had before, and no other."""
        names = ("use_model", "use_model_stream", "compose_state")
        now = vars(self.runtime)
        return now.keys() == self.before.keys() and not any(name in now for name in names)

    async def look(self):
        self.attached.core.book.look()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return {"placed": not self.attached.override.is_clean, "clean": self.is_clean()}

    async def say(self, text, kind="DM", who="alice", way="whole", room=None):
        """What the agent says to a message of somebody, in a room of its own unless one is named."""
        said = []

        async def callback(content):
            said.append(content.text)
            return []

        message = Memory(
            id=as_uuid(str(uuid.uuid4())),
            entity_id=as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, who))),
            room_id=as_uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, room) if room else uuid.uuid4())),
            agent_id=AGENT,
            content=Content(text=text, source="test", channel_type=kind),
        )
        if way == "streamed":
            whole = ""
            with contextlib.suppress(ValueError):  # 2.0.0a5 fails when it stores an answer that it has streamed
                async for part in self.runtime.message_service.handle_message_stream(self.runtime, message):
                    whole += part if isinstance(part, str) else ""
            return {"answered": bool(whole), "text": whole, "said": []}
        result = await self.runtime.message_service.handle_message(self.runtime, message, callback)
        content = result.response_content
        return {"answered": result.did_respond, "text": content.text if content else None, "said": said}

    async def say_all(self, messages, way="whole"):
        return [await self.say(text, kind, way=way) for kind, text in messages]

    async def storm(self, times, at_once):
        """Override and restore so many times while the agent answers; how many messages there were and were answered,
        and whether the runtime was as before each time."""
        going, answers, clean = True, [], 0

        async def talk(number):
            while going:
                way = "streamed" if len(answers) % 2 else "whole"
                answers.append((await self.say("Hi Nova!", "GROUP", f"person-{number}", way))["answered"])

        talking = [asyncio.ensure_future(talk(number)) for number in range(at_once)]
        override = self.attached.override
        for _ in range(times):
            override.remove()
            override.remove()
            clean += self.is_clean()
            await asyncio.sleep(0.005)
            override.place()
            override.place()
            await asyncio.sleep(0.005)
        going = False
        await asyncio.gather(*talking)
        return {"messages": len(answers), "answered": sum(answers), "clean": clean}

    async def names(self):
        return {
            "actions": [action.name for action in self.runtime.actions],
            "providers": [provider.name for provider in self.runtime.providers],
        }


async def main():
    driven = Driven()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = await getattr(driven, command.pop("do"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(f"ANSWER {json.dumps(answer)}\n")
        sys.stdout.flush()


asyncio.run(main())
