"""The provider file: what is read from it, and what is said when it cannot be used."""

import re
import tomllib
from pathlib import Path

import pytest

from providers.file.defaults import CLASSES, single_model
from providers.file.endpoints import endpoints_of
from providers.file.entries import (
    Limits,
    ModelEntry,
    Prices,
    ProviderConfiguration,
    ProviderEntry,
    Timeouts,
)
from providers.file.reading import ProviderFileError, parse_configuration, read_configuration
from providers.file.secrets import looks_like_a_key
from tests.harness.process import ROOT

EXAMPLE = ROOT / "providers.example.toml"
CANARY = "sk-canary5d1e8f7a"
DOCUMENTED = (ProviderConfiguration, ProviderEntry, ModelEntry, Limits, Timeouts, Prices)
VALID = """
[providers.acme]
kind = "openai"
[models.small]
provider = "acme"
context_tokens = 8192
[classes]
chat = ["small"]
"""


def parsed(text: str, environment: dict[str, str] | None = None) -> ProviderConfiguration:
    return parse_configuration("p.toml", text.encode(), environment or {}, production=False)


def refused(text: str, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ProviderFileError) as raised:
        parsed(text, environment)
    assert raised.value.__cause__ is None
    return raised.value.lines


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


def test_the_example_can_be_used_when_its_keys_are_in_the_environment() -> None:
    keys = set(re.findall(r'api_key_env = "(\w+)"', EXAMPLE.read_text()))
    configuration = read_configuration(EXAMPLE, dict.fromkeys(keys, "a"), production=True)
    assert {p.kind for p in configuration.providers.values()} == {"openai", "anthropic", "gemini", "local"}
    assert configuration.classes["chat"][0] == "gpt-5-mini"


def test_the_document_names_every_field() -> None:
    text = (ROOT / "docs" / "providers.md").read_text()
    for entry in DOCUMENTED:
        for field in entry.model_fields:
            assert f"`{field}`" in text, f"{entry.__name__}.{field}"


def test_every_example_in_the_document_can_be_used() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "providers.md").read_text(), re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        keys = set(re.findall(r'api_key_env = "(\w+)"', block))
        tomllib.loads(block)
        parsed(block, dict.fromkeys(keys, "a"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x=", "p.toml: is not valid TOML"),
        ("a = 1\nb =\n", "p.toml: is not valid TOML at line 2, column 4"),
        (changed("8192", "8"), "[models.small] context_tokens: Input should be greater"),
        (changed("8192", '"8192"'), "[models.small] context_tokens: Input should be a valid integer"),
        (changed("8192", "8192\nmax_output_tokens = 0"), "[models.small] max_output_tokens: "),
        (changed('"openai"', '"opnai"'), "[providers.acme] kind: Input should be 'openai', "),
        (changed('provider = "acme"', ""), "[models.small] provider: is missing"),
        (changed('provider = "acme"', 'provider = "acne"'), "[models.small] provider: there is no such"),
        (changed('["small"]', '["small", "big"]'), "[classes] chat, entry 2: there is no such model"),
        (changed('["small"]', '["small", "small"]'), "[classes] chat: a model stands there twice"),
        (changed('["small"]', "[]"), "[classes] chat: is empty"),
        (changed("chat =", "fast ="), "[classes] chat: this class is required"),
        (
            changed('"openai"', '"openai"\napi_key = "hush"'),
            "[providers.acme] api_key: there is no such field",
        ),
        (changed('"openai"', '"openai"\nbase_url = "ftp://x"'), "[providers.acme] base_url: must be an abs"),
        (changed('"openai"', '"openai"\nbase_url = "http://a:b@x"'), "base_url: must hold no credentials"),
        (changed('"openai"', '"openai"\nbase_url = "http://x/?key=a"'), "base_url: must hold no credentials"),
        (changed('"openai"', '"openai"\nbase_url = "http://[x"'), "base_url: is not a URL"),
        (changed('"openai"', '"openai"\nheaders = {Api-Key = "a"}'), "headers: no header here may carry"),
        (changed('"openai"', '"openai"\nheaders = {"a b" = "a"}'), "headers: a name or a value cannot"),
        (changed('"openai"', '"openai"\nlimits = {max_concurrency = 0}'), "[providers.acme.limits] max_conc"),
        (
            changed('"openai"', '"openai"\ntimeouts = {total_seconds = inf}'),
            "total_seconds: must be a finite",
        ),
        (changed('"openai"', '"openai"\napi_key_env = "lower"'), "api_key_env: has a form that is not"),
        (changed('"openai"', '"openai"\napi_key_env = "UNSET"'), "api_key_env: the environment has no such"),
        (
            changed('"openai"', '"langchain"'),
            "[providers.acme]: langchain_provider belongs to kind langchain",
        ),
        (changed('"openai"', '"openai"\nlangchain_provider = "acme"'), "langchain_provider belongs to kind"),
        (changed('"openai"', '"local"\nbase_url = "http://x"'), "kind local takes no base_url"),
        (changed('"openai"', '"scripted"'), "kind scripted needs a base_url"),
        ('currency = "usd"' + VALID, "p.toml: currency: has a form"),
    ],
)
def test_a_wrong_file_is_told_by_table_and_field(text: str, line: str) -> None:
    lines = refused(text)
    assert len(lines) == 1
    assert line in lines[0]
    assert lines[0].startswith("p.toml: ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'api_key = "{CANARY}"', "[providers.acme] api_key"),
        (f'api_key_env = "{CANARY}"', "[providers.acme] api_key_env"),
        (f'base_url = "https://x/{CANARY}:{CANARY}"', "[providers.acme] base_url"),
        (f'headers = {{ X-Token = "{CANARY}" }}', "[providers.acme.headers] X-Token"),
        ('headers = { X-Auth = "Bearer abc" }', "[providers.acme.headers] X-Auth"),
        (f'"{CANARY}" = 1', "[providers.acme] a name"),
        ('note = ["0a1b2c3d4e5f60718293a4b5c6d7e8f9"]', "[providers.acme.note] entry 1"),
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(text: str, place: str) -> None:
    (line, *more) = refused(changed('kind = "openai"', f'kind = "openai"\n{text}'))
    assert not more
    assert line.startswith(f"p.toml: {place}: looks like a key")
    assert CANARY not in line


def test_everything_wrong_is_said_at_once() -> None:
    assert len(refused(changed("8192", "8").replace('"openai"', '"opnai"'))) == 2


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-a1B2c3D4e5",
        "sk-ant-api03-abcdefgh",
        "sk-or-v1-0123456789abcdef",
        "gsk_abcdefghijklmnop1234",
        "hf_abcdefghijklmnopqrst",
        "AIzaSyA-abcdefghijklmnopqrstuv",
        "xai-abcdefghijklmnopqrst",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "key=sk-abcdefgh1234",
    ],
)
def test_what_vendors_call_a_key_looks_like_one(key: str) -> None:
    assert looks_like_a_key(key)


def test_names_that_begin_as_keys_do_are_no_keys() -> None:
    for name in (
        "hf_inference_api",
        "sk-learn-models",
        "task-runner-2",
        "xai-grok",
        "fw_models",
        "ask 123456789",
    ):
        assert not looks_like_a_key(name)


def test_vendors_model_ids_are_no_keys() -> None:
    for model in ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "ft:gpt-4o-mini:acme::AbC123", "gpt-5-mini"):
        parsed(changed("context_tokens", f'model = "{model}"\ncontext_tokens'))


def test_a_key_is_read_from_the_environment_and_shown_to_nobody() -> None:
    text = changed('"openai"', '"openai"\napi_key_env = "ACME_KEY"')
    environment = {"ACME_KEY": CANARY}
    endpoint = endpoints_of(parsed(text, environment), environment)["small"]
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == CANARY
    assert CANARY not in repr(endpoint)


def test_a_model_is_called_by_its_table_unless_it_says_otherwise() -> None:
    assert endpoints_of(parsed(VALID), {})["small"].info.model == "small"
    named = changed("context_tokens", 'model = "vendor/small"\ncontext_tokens')
    assert endpoints_of(parsed(named), {})["small"].info.model == "vendor/small"


def test_production_refuses_a_scripted_provider() -> None:
    text = changed('"openai"', '"scripted"\nbase_url = "http://127.0.0.1:1/v1"')
    parsed(text)
    with pytest.raises(ProviderFileError, match="a scripted provider is refused in production"):
        parse_configuration("p.toml", text.encode(), {}, production=True)


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    with pytest.raises(ProviderFileError, match=r"p.toml: cannot be read"):
        read_configuration(path, {}, production=False)
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ProviderFileError, match="is larger than"):
        read_configuration(path, {}, production=False)


def test_without_a_file_one_model_is_every_class() -> None:
    configuration = single_model(
        provider="openai",
        kind="openai",
        model="gpt-5-mini",
        context_tokens=128_000,
        api_key_env="OPENAI_API_KEY",
    )
    assert configuration.classes == dict.fromkeys(CLASSES, ("gpt-5-mini",))
    endpoint = endpoints_of(configuration, {"OPENAI_API_KEY": "a"})["gpt-5-mini"]
    assert (endpoint.info.provider, endpoint.info.context_tokens) == ("openai", 128_000)
