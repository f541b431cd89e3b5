"""HTTP towards callers and providers: connections, limits, certificates, headers, encodings, and who may come in.

`upstream` alone knows the HTTP client. Called by the application and by what relays a call.
"""
