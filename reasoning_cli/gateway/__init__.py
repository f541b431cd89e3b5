"""Stands between an agent and its provider: answers decisions with our models, and hands everything else through."""
