"""Stands between an agent and its provider: answers decisions with our models, and hands everything else through.

A call goes through `app`, `pipeline`, `routing`, then `model_client` or `relay`. Called by `commands/gateway`, `doctor`
and the import of request logs; runs in processes of its own.
"""
