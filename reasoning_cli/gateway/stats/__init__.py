"""What a gateway did since it started: counted, shared between workers, and shown to Prometheus.

Called by the application and by each step that counts; calls nothing of the gateway.
"""
