"""Work that would hold up the event loop: it is done in other threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable


class Background:
    """Threads for work, and the way back into the event loop.

    Attributes:
        encoders: the threads that decode and encode pictures.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_event_loop()
        self.encoders = ThreadPoolExecutor(2, "encode")
        self._waiters = ThreadPoolExecutor(4, "wait")

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Call ``function`` in the event loop's thread; may be called in any."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # the loop has ended

    async def encode(self, work: Callable[..., Any], *args: Any) -> Any:
        """The result of ``work``, which computes."""
        return await self._loop.run_in_executor(self.encoders, work, *args)

    async def block(self, work: Callable[..., Any], *args: Any) -> Any:
        """The result of ``work``, which waits, such as for the master."""
        return await self._loop.run_in_executor(self._waiters, work, *args)

    async def ask(self, method: Callable[..., None], *args: Any, **options: Any) -> Any:
        """The answer of a request of `NodeClient`; raises it if it is an exception."""
        future = self._loop.create_future()

        def then(answer: Any) -> None:
            if not future.done():
                (future.set_exception if isinstance(answer, Exception) else future.set_result)(answer)

        method(*args, then, **options)
        return await future
