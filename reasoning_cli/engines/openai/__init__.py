"""Servers of the operator's own that speak OpenAI's API (vLLM, llama.cpp, Ollama): asked for one answer at a time.

Found by `engines.registry`, and named by nobody else; knows no settings and no store. Who asks says where the server
is, and with which key.
"""
