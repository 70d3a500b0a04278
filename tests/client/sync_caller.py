"""A caller without a loop, in a process of its own: `python -m tests.client.sync_caller SCENE TARGET`.

What it finds it prints; a held provider is released by who reads that.
"""

import sys
import threading
from collections.abc import Callable

from llm_orchestrator_client.errors import InvalidRequestError
from llm_orchestrator_client.events import ContentDelta
from llm_orchestrator_client.options import Options
from llm_orchestrator_client.sync import SyncOrchestratorClient


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def everything(client: SyncOrchestratorClient) -> None:
    """Each kind of call once."""
    with client.chat("hello", conversation_id="c1") as stream:
        kinds = [event.KIND for event in stream]
    say("chat", kinds[0], kinds[-1], stream.transcript.text, stream.conversation_id)
    say("text", client.chat("again", conversation_id="c1").text())
    begun = [client.tasks.start(f"task {n}").task_id for n in range(3)]
    for task_id in begun:
        say("watch", client.tasks.watch(task_id).text())
    say("list", [task.task_id for task in client.tasks.list(page_size=1)] == begun[::-1])
    say("first", next(iter(client.tasks.list(page_size=1))).task_id == begun[-1])
    say("checkpoints", len(list(client.conversations.checkpoints("c1"))) > 1)
    say("resume", client.resume(stream.run_id).text())
    say("permissions", list(client.permissions.list()))
    say("health", client.health().status, client.providers().accepting_tasks)
    try:
        client.chat("").text()
    except InvalidRequestError as error:
        say("refused", *error.violations)


def leaves(client: SyncOrchestratorClient) -> None:
    """Breaks off a held chat."""
    with client.chat("hello") as stream:
        for event in stream:
            if isinstance(event, ContentDelta):
                break
    say("left", stream.run_id)


def closes(client: SyncOrchestratorClient) -> None:
    """Closes the client while another thread reads a held chat."""
    started = threading.Event()
    ended = []

    def read() -> None:
        try:
            for event in client.chat("hello"):
                if isinstance(event, ContentDelta):
                    started.set()
        except RuntimeError as error:
            ended.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    started.wait(10)
    client.close()
    client.close()
    reader.join(10)
    say("closed", *ended)
    try:
        client.health()
    except RuntimeError as error:
        say("after", error)


SCENES: dict[str, Callable[[SyncOrchestratorClient], None]] = {
    scene.__name__: scene for scene in (everything, leaves, closes)
}

if __name__ == "__main__":
    with SyncOrchestratorClient(Options(sys.argv[2], user_id="ann")) as caller:
        SCENES[sys.argv[1]](caller)
    say("threads", [thread.name for thread in threading.enumerate() if "orchestrator" in thread.name])
