"""The groups that every connection of a consumer class is in."""

from typing import Any

from fairway.consuming.serving import Serving
from fairway.exceptions import InvalidChannelLayerError


class Groups(Serving):
    """What consumers with a ``groups`` attribute share."""

    #: Groups that every connection of this class is in, as long as it is open.
    groups: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.groups is None:
            self.groups = []

    def _fw_require_groups(self) -> None:
        if self.groups and not hasattr(self.channel_layer, "group_add"):
            raise InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")

    async def _fw_join_groups(self) -> None:
        if isinstance(self.groups, str):  # else each letter of it would be a group
            raise TypeError(f"groups is {self.groups!r}: write groups = [{self.groups!r}].")
        for group in self.groups or ():
            await self.channel_layer.group_add(group, self.channel_name)

    async def _fw_leave_groups(self) -> None:
        for group in self.groups or ():
            await self.channel_layer.group_discard(group, self.channel_name)
