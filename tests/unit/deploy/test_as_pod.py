"""deploy/as_pod.py: what a container engine is told says what the Deployment says."""

import pytest

from deploy.as_pod import as_pod


@pytest.mark.parametrize("name", ["migrate", "llm-orchestrator"])
def test_a_container_is_told_the_pod_s_user_rights_and_bounds(name: str) -> None:
    told = as_pod(name, "/there")
    options = told[: told.index("")]
    assert {"--user=10001:10001", "--cap-drop=all", "--read-only", "--security-opt=no-new-privileges"} <= set(
        options
    )
    assert {"--cpus=2", "--memory=1g", "--volume=/there/files:/etc/llm-orchestrator/files:ro"} <= set(options)
    assert {"--volume=/there/tmp:/tmp:rw", "--volume=/there/data:/app/.data:rw"} <= set(options)


def test_arguments_come_after_the_image() -> None:
    assert as_pod("migrate", "/there")[-4:] == ["", "python", "main.py", "migrate"]
    assert as_pod("llm-orchestrator", "/there")[-1] == ""


def test_a_container_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        as_pod("other", "/there")
