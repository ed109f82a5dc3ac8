"""The answer to an open-ended question."""

from __future__ import annotations

import asyncio

import aiohttp


class Stream:
    """A feed's answer: what kind it is, and its bytes as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.is_feed = response.status == 200 and response.content_type == "text/event-stream"

    def close(self) -> None:
        """End it: whoever is reading gets an error."""
        self._response.close()

    @property
    def retry_after(self) -> float:
        """Seconds that the registry asks us to wait, 0 without a word of it."""
        text = self._response.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0.0

    async def read(self, within: float) -> bytes:
        """What has come; ``b""`` at an orderly end. TimeoutError if nothing came ``within`` seconds."""
        async with asyncio.timeout(within):
            return await self._response.content.readany()
