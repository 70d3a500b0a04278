"""What `podman run` must be told so that a container is as one of the Deployment's on Kubernetes.

`python -m deploy.as_pod CONTAINER FOLDER` prints it, an argument a line. FOLDER/files holds the ConfigMap's
files, FOLDER/tmp and FOLDER/data are empty and the pod's group may write there. Of the pod only what a
container engine can do alone: no probes, no preStop, no NetworkPolicy.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).parent / "kubernetes" / "base"


def as_pod(name: str, folder: str) -> list[str]:
    """User, rights, environment, mounts and bounds of the container of this name, then its arguments.

    The image is to be put before the arguments, at the empty string.

    Raises:
        KeyError: there is no container of this name, or it does not say what is read here.
    """
    pod = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    container = {one["name"]: one for one in pod["initContainers"] + pod["containers"]}[name]
    user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
    limits = container["resources"]["limits"]
    told = [f"--user={user}:{group}", f"--cpus={limits['cpu']}", f"--memory={_bytes(limits['memory'])}"]
    told += [f"--env-file={BASE / 'settings.env'}", *_rights(container["securityContext"])]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        told.append(_mounted(mount["mountPath"], volumes[mount["name"]], folder))
    return [*told, "", *container.get("args", [])]


def _rights(context: dict[str, Any]) -> list[str]:
    rights = [f"--cap-drop={capability.lower()}" for capability in context["capabilities"]["drop"]]
    if context["readOnlyRootFilesystem"]:
        rights += ["--read-only", "--read-only-tmpfs=false"]
    if not context["allowPrivilegeEscalation"]:
        rights.append("--security-opt=no-new-privileges")
    return rights


def _mounted(at: str, volume: dict[str, Any], folder: str) -> str:
    # An empty folder is one of the machine, as kubelet makes it; its size is not bounded here.
    return f"--volume={folder}/{volume['name']}:{at}:{'rw' if 'emptyDir' in volume else 'ro'}"


def _bytes(quantity: str) -> str:
    return quantity.replace("Mi", "m").replace("Gi", "g")


def main(arguments: Sequence[str]) -> int:
    """Print it."""
    name, folder = arguments
    print("\n".join(as_pod(name, folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
