"""A small prompt of each decision, as an ElizaOS agent would send it: to ask a model before there is a log."""

from __future__ import annotations

_MESSAGE = """
<providers>
# Conversation Messages
12:00 (just now) Sam: Nova, what can you help me with?

# Received Message
Sam: Nova, what can you help me with?


# Focus your response
You are replying to the above message from **Sam**.
</providers>
"""

EXAMPLES: dict[str, str] = {
    "should_respond": (
        "<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the conversation."
        "</task>\n"
        f"{_MESSAGE}"
        "\n<instructions>Decide if Nova should respond to the message, ignore it, or stop.</instructions>\n"
        "\n<output>\nRespond using XML format like this:\n"
        "<response>\n    <name>Nova</name>\n    <reasoning>Your reasoning here</reasoning>\n"
        "    <action>RESPOND | IGNORE | STOP</action>\n</response>\n</output>"
    ),
    "planning": (
        "<task>Generate dialog and actions for the character Nova.</task>\n"
        "\nPossible response actions: REPLY, IGNORE\n"
        f"{_MESSAGE}"
        "\n<instructions>Write a thought and plan for Nova, and the text of its reply.</instructions>\n"
        "\n<output>\nRespond using XML format like this:\n"
        "<response>\n    <thought>Your thought here</thought>\n    <actions>ACTION1,ACTION2</actions>\n"
        "    <providers>PROVIDER1</providers>\n    <text>Your reply here</text>\n</response>\n</output>"
    ),
    "coding": "Write a Python function that returns the first number of a list below a limit, or None.",
}
