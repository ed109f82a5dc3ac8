"""aiohttp's door: ``session`` and ``middleware`` are the way out, ``run_app`` and ``setup`` the way in."""

from .client import make_session, middleware, session
from .web import run_app, setup

__all__ = ["make_session", "middleware", "run_app", "session", "setup"]
