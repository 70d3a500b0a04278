"""One user who calls the org RPCs over the wire, and that user's folder on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from backend.tools.org.folder import folder_name
from tests.toolserver.backend import SERVICE
from tests.toolserver.calling import Refused, ask, refused


def request_of(rpc: str, user: str, **fields: Any) -> Any:
    """A request with just these fields."""
    return GetMessageClass(SERVICE.methods_by_name[rpc].input_type)(user_id=user, **fields)


@dataclass(frozen=True, slots=True)
class Person:
    channel: grpc.aio.Channel
    user: str
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / folder_name(self.user)

    async def ask(self, rpc: str, **fields: Any) -> Any:
        return await ask(self.channel, rpc, request_of(rpc, self.user, **fields))

    async def refused(self, rpc: str, **fields: Any) -> Refused:
        return await refused(self.channel, rpc, request_of(rpc, self.user, **fields))

    def write(self, text: str | bytes, name: str = "inbox.org") -> None:
        """As another program would, past the RPCs."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def read(self, name: str = "inbox.org") -> str:
        return (self.folder / name).read_bytes().decode()

    async def lines(self) -> list[str]:
        """The texts that a list tells."""
        return [item.text for item in (await self.ask("ListOrgInboxItems")).items]
