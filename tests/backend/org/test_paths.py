"""No user id and no document id leads out of the folder of who asks, and nobody sees another's."""

import os
from pathlib import Path

import grpc
import pytest

from backend.tools.org.folder import folder_name, path_parts
from tests.backend.org.asking import Person

SECRET = "* TODO secret of somebody else\n"
USERS = (
    ".", "..", "../", "../bob", "../../etc", "/", "/etc/passwd", "//etc", "bob/..", "bob/.", "./bob",
    "bob/", "/bob", "..\\bob", "C:\\bob", "~", "~root", "$HOME", "`id`", "%2e%2e%2fbob", "%2e%2e",
    "..%2fbob", "bob%00", "bob\0", "\0", "bob\n", "bob ", " bob", "Bob", "BOB", "b\u00f6b", "bo\u0308b",
    "\u202ebob", "\uff0e\uff0e\uff0fbob", "\ufeffbob", "bob.org", "inbox.org", ".lock", ".journal", "*",
    "?", "-rf", "a" * 5000, "bob\u0000/../bob", folder_name("bob"), f"../{folder_name('bob')}",
    "\U0001f600", "CON", "nul",
)  # fmt: skip
DOCUMENTS = (
    "", ".", "..", "../inbox.org", "../../secret.org", "../secret.org", "/secret.org", "//secret.org",
    "./inbox.org", "a/../inbox.org", "a/../../secret.org", "inbox.org/", "inbox.org/.", "inbox.org/..",
    "/inbox.org", "a//inbox.org", "inbox.org\0", "inbox.org\0.org", "\0inbox.org", "..\\secret.org",
    "%2e%2e/secret.org", "..%2fsecret.org", "~/x.org", "link.org", "linked/secret.org", "pipe.org",
    "folder.org", "folder.org/x.org/y.org", "missing.org", ".hidden.org", ".lock", ".journal",
    "a/.hidden.org", ".git/config.org", "inbox.txt", "inbox", "inbox.org ", "inbox.ORG\n",
    "a" * 300 + ".org", "a/" * 40 + "x.org", "a/" * 3000 + "x.org", "...", ".../x.org", "*.org",
    "\U0001f600.org", "\uff0e\uff0e\uff0fsecret.org", "file:///secret.org", "inbox.org?x=1",
    "dangling.org", "loop.org",
)  # fmt: skip


@pytest.fixture
def outside(ann: Person, bob: Person, root: Path) -> None:
    """Things that must not be reached: beside the root, in it, in another's folder, and behind links."""
    bob.write(SECRET)
    for place in (root, root.parent):
        (place / "secret.org").write_text(SECRET)
    ann.write("* mine\n", "a/mine.org")
    (ann.folder / ".hidden.org").write_text(SECRET)
    (ann.folder / "a" / ".hidden.org").write_text(SECRET)
    (ann.folder / "link.org").symlink_to(root / "secret.org")
    (ann.folder / "linked").symlink_to(root)
    (ann.folder / "dangling.org").symlink_to(root / "nothing.org")
    (ann.folder / "loop.org").symlink_to("loop.org")
    (ann.folder / "folder.org").mkdir()
    os.mkfifo(ann.folder / "pipe.org")


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("user", USERS, ids=repr)
@pytest.mark.usefixtures("outside")
async def test_a_user_id_is_a_folder_of_its_own_and_nothing_else(
    channel: grpc.aio.Channel, bob: Person, root: Path, user: str
) -> None:
    before = everything(root.parent)
    person = Person(channel, user, root)
    assert await person.lines() == []
    assert (await person.ask("AddOrgInboxItem", kind="checkbox", text="mine")).success
    assert await person.lines() == ["- [ ] mine"]
    assert not (await person.ask("SearchOrgFiles", query="secret")).results
    assert bob.read() == SECRET
    new = everything(root.parent) - before
    own = f"{root.name}/{folder_name(user)}"
    assert new == {own, f"{own}/.lock", f"{own}/inbox.org"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: repr(document[:30]))
@pytest.mark.usefixtures("outside")
async def test_a_document_id_is_a_file_of_the_folder_or_nothing(ann: Person, document: str) -> None:
    for rpc in ("GetDocument", "GetDocumentContent"):
        for prefix in ("org:", ""):
            refused = await ann.refused(rpc, document_id=prefix + document)
            assert refused.code is grpc.StatusCode.NOT_FOUND
            assert "secret" not in refused.everything.replace(document, "")


@pytest.mark.usefixtures("outside")
async def test_a_search_follows_no_link_and_waits_for_no_pipe(ann: Person) -> None:
    found = (await ann.ask("SearchOrgFiles", query="mine")).results
    assert [hit.document_id for hit in found] == ["org:a/mine.org"]
    assert not (await ann.ask("SearchOrgFiles", query="secret")).results


async def test_an_inbox_or_archive_that_is_a_link_is_refused_and_stays(ann: Person, root: Path) -> None:
    target = root / "target.org"
    ann.write("* DONE mine\n")
    target.write_text(SECRET)
    (ann.folder / "inbox.org_archive").symlink_to(target)
    assert (await ann.refused("ArchiveOrgInboxDone")).reason == "NOT_A_FILE"
    assert ann.read() == "* DONE mine\n"
    (ann.folder / "inbox.org").unlink()
    (ann.folder / "inbox.org").symlink_to(target)
    for rpc in ("ListOrgInboxItems", "GetOrgInboxItems"):
        assert (await ann.refused(rpc)).reason == "NOT_A_FILE"
    assert (await ann.refused("AppendOrgInboxText", text="x")).reason == "NOT_A_FILE"
    assert target.read_text() == SECRET


async def test_a_users_folder_that_is_a_link_is_not_entered(ann: Person, bob: Person, root: Path) -> None:
    bob.write(SECRET)
    ann.folder.symlink_to(bob.folder)
    assert await ann.lines() == []
    assert (await ann.refused("AppendOrgInboxText", text="x")).code is grpc.StatusCode.UNAVAILABLE
    assert bob.read() == SECRET


async def test_two_users_never_see_each_other(ann: Person, bob: Person) -> None:
    for person in (ann, bob):
        await person.ask("AddOrgInboxItem", kind="todo", text=f"secret of {person.user}")
    for person in (ann, bob):
        ours = f"* TODO secret of {person.user}"
        assert await person.lines() == [ours]
        assert [hit.heading for hit in (await person.ask("SearchOrgFiles", query="secret")).results] == [
            ours[7:]
        ]
        assert [item.title for item in (await person.ask("GetOrgInboxItems")).items] == [ours[7:]]
    refused = await ann.refused("ToggleOrgInboxItem", line_index=0, expected_text="* TODO secret of bob")
    assert refused.reason == "LINE_CHANGED"
    assert bob.read().startswith("* TODO secret of bob\n")


async def test_only_the_owner_of_the_process_may_read_what_is_written(ann: Person, root: Path) -> None:
    await ann.ask("AppendOrgInboxText", text="x")
    assert [path.stat().st_mode & 0o777 for path in (root, ann.folder, ann.folder / "inbox.org")] == [
        0o700,
        0o700,
        0o600,
    ]
    (ann.folder / "inbox.org").chmod(0o644)
    await ann.ask("AppendOrgInboxText", text="x")
    assert (ann.folder / "inbox.org").stat().st_mode & 0o777 == 0o644


def test_a_path_has_plain_parts_only() -> None:
    assert path_parts("a/b.org") == ("a", "b.org")
    assert path_parts("inbox.org_archive") == ("inbox.org_archive",)
    assert [path_parts(name) for name in ("a/../b.org", "/b.org", "b", ".b.org", "b\0.org")] == [None] * 5
