"""Endpoints, deployments, adapters, rollouts: how each is shown and asked for, and how it lives on the virtual clock.

Called by the routes and by the passing of time.
"""
