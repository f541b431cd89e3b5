from tests.library.conftest import model, server

__all__ = ["model", "server"]
