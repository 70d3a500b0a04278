"""The list of what the service runs on, as CycloneDX 1.6: `python -m deploy.sbom [LOCK FILE] > sbom.json`.

Components, versions and hashes are the lock file's; licences are what the installed packages declare, where
the same version is installed. The same input gives the same bytes.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent
_CLASSIFIER = "License :: OSI Approved :: "
_NAME_CHARACTERS = 80


def sbom(lock: Path) -> str:
    """The document, valid and sorted.

    Raises:
        ValueError: What was made does not keep to CycloneDX's schema.
    """
    document = _listed(lock)
    components = sorted((_component(one) for one in document["components"]), key=lambda one: one["bom-ref"])
    references = [one["bom-ref"] for one in components]
    root = document["metadata"]["component"]["bom-ref"]
    document["components"] = components
    document["dependencies"] = [{"ref": root, "dependsOn": references}, *({"ref": one} for one in references)]
    document["metadata"].pop("tools", None)
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(str(error))
    return text


def _listed(lock: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(lock)]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--sv", "1.6"]
    made = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(made.stdout)
    return document


def _component(listed: dict[str, Any]) -> dict[str, Any]:
    """By its package URL instead of its line in the lock file, and with its licence."""
    package_url = listed["purl"].partition("?")[0]
    component = {key: value for key, value in listed.items() if key != "description"}
    component |= {"bom-ref": package_url, "purl": package_url}
    if licences := licences_of(listed["name"], listed["version"]):
        component["licenses"] = licences
    return component


def licences_of(name: str, version: str) -> list[dict[str, Any]]:
    """As CycloneDX writes them; empty where that version is not installed, or declares nothing."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return []
    if found.version != version:
        return []
    metadata = found.metadata
    if expression := metadata["License-Expression"]:
        return [{"expression": expression, "acknowledgement": "declared"}]
    classifiers = metadata.get_all("Classifier") or []
    names = sorted(one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER))
    text = " ".join((metadata["License"] or "").split())
    if not names and 0 < len(text) <= _NAME_CHARACTERS:
        names = [text]
    return [{"license": {"name": one, "acknowledgement": "declared"}} for one in names]


if __name__ == "__main__":
    sys.stdout.write(sbom(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements.txt"))
