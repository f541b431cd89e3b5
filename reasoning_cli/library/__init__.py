"""Decisions in the agent's own process: what `from reasoning_cli import ReasoningService` gives.

The same path as the gateway's, by another door. Public is what `reasoning_cli` names; the modules here are private.
Nothing else of ours uses them.
"""
