"""Sealed payloads: what opens them, and what does not."""

import pytest

from config.encryption import EncryptionSettings
from state.errors import StateUnreadableError
from state.sealed_text import open_text, seal_text
from state.sealing import PLAIN, Sealing, SealingKey, is_sealed

OLD, NEW = SealingKey("old", b"o" * 32), SealingKey("new", b"n" * 32)
PLACE = ("table.column", "ann", "run", 1)


def test_what_is_sealed_is_opened_by_its_key_at_its_place_alone() -> None:
    sealed = Sealing([OLD]).seal(PLACE, b"secret")
    assert is_sealed(sealed)
    assert b"secret" not in sealed
    assert Sealing([NEW, OLD]).open(PLACE, sealed) == b"secret"
    for place in (("table.column", "ann", "run", 2), ("table.column", "bob", "run", 1), (*PLACE, "")):
        with pytest.raises(StateUnreadableError, match="belongs elsewhere"):
            Sealing([OLD]).open(place, sealed)


def test_every_byte_counts() -> None:
    sealed, sealing = Sealing([OLD]).seal(PLACE, b"secret"), Sealing([OLD])
    for index in range(2, len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(StateUnreadableError):
            sealing.open(PLACE, changed)
    for length in range(2, len(sealed)):
        with pytest.raises(StateUnreadableError):
            sealing.open(PLACE, sealed[:length])


def test_the_key_that_is_missing_is_named() -> None:
    sealed = Sealing([OLD]).seal(PLACE, b"secret")
    for sealing in (PLAIN, Sealing([NEW])):
        with pytest.raises(StateUnreadableError, match="'old', which is not configured"):
            sealing.open(PLACE, sealed)


def test_the_first_key_seals_and_no_nonce_or_salt_comes_twice() -> None:
    sealing, beside = Sealing([NEW, OLD]), Sealing([NEW, OLD])
    sealed = [one.seal(PLACE, b"same") for _ in range(1000) for one in (sealing, beside)]
    assert all(one[:6] == b"\x00\x01\x03new" for one in sealed)
    assert len({one[6:22] for one in sealed}) == 2
    assert len({one[22:34] for one in sealed}) == 2000


def test_without_keys_everything_is_as_it_is_and_keys_may_be_for_reading_only() -> None:
    assert PLAIN.seal(PLACE, b"plain") == b"plain" == Sealing([OLD]).open(PLACE, b"plain")
    reads = Sealing([OLD], reads=True)
    assert reads.seal(PLACE, b"plain") == b"plain"
    assert reads.open(PLACE, Sealing([OLD]).seal(PLACE, b"x")) == b"x"


@pytest.mark.parametrize("text", ["", "plain", "\U0010ffff", "\U0010ffff0x", "\U0010ffff1AAEDb2xk", "ä" * 99])
def test_any_text_comes_back_sealed_or_not(text: str) -> None:
    for sealing in (PLAIN, Sealing([OLD])):
        stored = seal_text(sealing, PLACE, text)
        assert open_text(Sealing([OLD]), PLACE, stored) == text
    assert "plain" not in seal_text(Sealing([OLD]), PLACE, "plain")


def test_a_key_does_not_show() -> None:
    assert "ooo" not in repr(OLD)


@pytest.mark.parametrize(
    "keys", ["x", "a:short", ":" + "A" * 43 + "=", ",", "a:" + "A" * 43 + "=,a:" + "B" * 42 + "A="]
)
def test_keys_that_are_none_are_refused(keys: str) -> None:
    with pytest.raises(ValueError, match=r"each key must be|two keys have one id"):
        EncryptionSettings(keys=keys)  # type: ignore[arg-type]
