"""Writes docs/api: `make api-docs`. What stands there and is made no more is removed."""

from deploy.reference.contract import ROOT, contract
from deploy.reference.pages import pages

FOLDER = ROOT / "docs/api"


def main() -> None:
    """Write each page, remove the others."""
    made = pages(contract())
    FOLDER.mkdir(exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    for file in FOLDER.iterdir():
        if file.name not in made:
            file.unlink()


if __name__ == "__main__":
    main()
