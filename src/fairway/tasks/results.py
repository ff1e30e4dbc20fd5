"""Results that outlive their task: in a cache, if the backend names one."""

from typing import Final

from django.core.cache import BaseCache, caches
from django.tasks.exceptions import TaskResultDoesNotExist

from fairway.tasks.records import AnyResult, Record, from_record, to_record

_PREFIX: Final = "fairway.tasks."


class Results:
    """The results of one backend.

    Args:
        alias: The cache's alias in ``CACHES``; None keeps nothing.
        ttl: Seconds that each is kept after its last change.
    """

    def __init__(self, alias: str | None, ttl: float) -> None:
        self._alias = alias
        self._ttl = ttl

    @property
    def kept(self) -> bool:
        """Whether there is a cache."""
        return self._alias is not None

    def put(self, result: AnyResult) -> None:
        """Keep a result as it is now."""
        if self._alias is not None:
            self._cache.set(_PREFIX + result.id, to_record(result), self._ttl)

    async def aput(self, result: AnyResult) -> None:
        """Keep a result as it is now."""
        if self._alias is not None:
            await self.aput_record(to_record(result))

    async def aput_record(self, record: Record) -> None:
        """The same for what cannot be made a result of, as its task is not there any more."""
        if self._alias is not None:
            await self._cache.aset(_PREFIX + record["id"], record, self._ttl)

    def drop(self, result: AnyResult) -> None:
        """Forget a result."""
        if self._alias is not None:
            self._cache.delete(_PREFIX + result.id)

    async def adrop(self, result: AnyResult) -> None:
        """Forget a result."""
        if self._alias is not None:
            await self._cache.adelete(_PREFIX + result.id)

    def get(self, result_id: str) -> AnyResult:
        """The result as it was last.

        Raises:
            TaskResultDoesNotExist: There is none, or it is too old.
        """
        return self._found(result_id, self._cache.get(_PREFIX + result_id))

    async def aget(self, result_id: str) -> AnyResult:
        """The same for async code."""
        return self._found(result_id, await self._cache.aget(_PREFIX + result_id))

    async def known(self, record: Record) -> Record:
        """What is known of the attempts before this one, which the message does not say."""
        if self._alias is None:
            return record
        found: Record | None = await self._cache.aget(_PREFIX + record["id"])
        return found or record

    @property
    def _cache(self) -> BaseCache:
        assert self._alias is not None
        return caches[self._alias]

    def _found(self, result_id: str, record: Record | None) -> AnyResult:
        if record is None:
            raise TaskResultDoesNotExist(result_id)
        return from_record(record)
