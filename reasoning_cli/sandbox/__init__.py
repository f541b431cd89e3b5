"""A stateful stand-in for the vendor's API on loopback: endpoints, deployments, models, chat, a clock and a meter.

It is reached over HTTP only and is built on the standard library alone, so that it starts in milliseconds.
"""
