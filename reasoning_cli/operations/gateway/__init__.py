"""What gateways did, by the training log, in the form a running one tells it.

Called by `gateway stats` and by the gateway for its own figures; not the gateway itself.
"""
