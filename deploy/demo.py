"""`make demo`: the orchestrator, the backend with its tools and data, and the console, until Ctrl-C.

One Postgres of our own serves both. What is started here is stopped here, by its process id: first the
backend, which has a drain of its own, then the orchestrator, last the database.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe

from backend.demo.seed import demo_data
from backend.passwords import hashed
from config.settings import Settings
from deploy.child import ChildError, children_ended, started, stop_signal
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.server import EmbeddedPostgres

ADMINISTRATOR = "demo"
_ADDRESS = "BACKEND_SERVER__ADDRESS"
_OPENAI = "https://api.openai.com/v1"
_OPENAI_MODEL = "gpt-5-mini"


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, flush=True)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The configured Postgres, or our own."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    say("==> starting Postgres")
    async with EmbeddedPostgres(settings.embedded.folder, on_progress=say) as postgres:
        yield postgres.dsn


def flag_file(folder: Path, *, fallback: bool) -> Path:
    """The rollout's flags, which the console's dial writes; an old file is kept."""
    path = folder / "flags.json"
    if not path.exists():
        values = {
            "USE_GRPC_ORCHESTRATOR": True,
            "GRPC_ORCHESTRATOR_PERCENTAGE": 100,
            "GRPC_FALLBACK_TO_LOCAL": fallback,
            "USE_GRPC_TOOL_SERVICE": True,
        }
        flags = {
            name: {"state": "ENABLED", "variants": {"set": value}, "defaultVariant": "set"}
            for name, value in values.items()
        }
        path.write_text(json.dumps({"flags": flags}, indent=2) + "\n", encoding="utf-8")
    return path


def local_path() -> dict[str, str]:
    """The backend's own chat, with the provider that a key names; without one there is none."""
    key, base_url = os.environ.get("OPENAI_API_KEY", ""), os.environ.get("OPENAI_BASE_URL", "")
    if not key and not base_url:
        return {}
    return {
        "BACKEND_LOCAL__BASE_URL": base_url or _OPENAI,
        "BACKEND_LOCAL__API_KEY": key,
        "BACKEND_LOCAL__MODEL": os.environ.get("ORCHESTRATOR_PROVIDER__MODEL") or _OPENAI_MODEL,
    }


def users(password: str) -> str:
    """All of the demo data's, with one password."""
    kept = hashed(password)
    return json.dumps(
        {name: {"password": kept, "administrator": name == ADMINISTRATOR} for name in demo_data()["users"]}
    )


def environments(
    settings: Settings, dsn: str, folder: Path, password: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Of the orchestrator, and of the backend. The token between them is of this start."""
    token, local = token_urlsafe(32), local_path()
    address = settings.tools.address
    shared = {name: value for name, value in os.environ.items() if not name.startswith("BACKEND_")}
    orchestrator = {
        **shared,
        "DATABASE_URL": dsn,
        "ORCHESTRATOR_TOOLS__TOKEN": token,
        "USE_GRPC_TOOL_SERVICE": "true",
    }
    given = {name: value for name, value in os.environ.items() if name.startswith("BACKEND_")}
    backend = {
        **shared,
        "PYTHONPATH": "client",
        "BACKEND_ORCHESTRATOR__TARGET": settings.server.address,
        "BACKEND_SESSION__SECURE": "false",
        "BACKEND_STORE__DSN": dsn,
        "BACKEND_ORG__ROOT": str(folder / "org"),
        "BACKEND_TOOL_SERVICE__ADDRESS": address,
        "BACKEND_TOOL_SERVICE__TOKEN": token,
        "BACKEND_USERS": users(password),
        "GRPC_ROLLOUT_FLAGS": f"file:{flag_file(folder, fallback=bool(local))}",
        **local,
        **given,
    }
    return orchestrator, backend


def welcome(address: str, password: str) -> str:
    """Where the page is, and for whom."""
    names = [f"{name} (administers)" if name == ADMINISTRATOR else name for name in demo_data()["users"]]
    lines = [f"==> open http://{address}/", f"users: {', '.join(names)}", f"password: {password}"]
    return "\n    ".join([*lines, "Ctrl-C stops all"])


async def demo(settings: Settings, folder: Path) -> None:
    """Raises: ChildError, EmbeddedPostgresError."""
    password = token_urlsafe(9)
    async with stop_signal() as stopped, AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database(settings))
        orchestrator, backend = environments(settings, dsn, folder, password)
        say("==> storing the demo data")
        seeding = [sys.executable, "-m", "backend.demo", "--org", str(folder / "org")]
        async with started("data", seeding, backend) as seeded:
            await seeded.must_succeed()
        say("==> starting the orchestrator; the first start takes longest")
        serving = started("orchestrator", [sys.executable, "main.py"], orchestrator)
        running = [await stack.enter_async_context(serving)]
        await running[0].line_with("serving on ", stopped)
        say("==> starting the backend")
        answering = started("backend", [sys.executable, "-m", "backend"], backend)
        running.append(await stack.enter_async_context(answering))
        address = await running[1].line_with("serving on ", stopped)
        if not stopped.is_set():
            say(welcome(address, password))
        await children_ended(running, stopped)
        say("==> stopping")


def main() -> int:
    """Exit codes: 0 stopped as told, 1 something did not start, or died."""
    folder = Path(os.environ.get("DEMO_FOLDER", ".data/demo"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(demo(Settings(), folder))
    except (ChildError, EmbeddedPostgresError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
