"""Each field of a provider file, and each setting of providers, has a test in which it changes something."""

from collections.abc import Iterator, Mapping

import pytest

from config.names import variables
from providers.file.entries import (
    Limits,
    ModelEntry,
    Prices,
    ProviderConfiguration,
    ProviderEntry,
    Timeouts,
)
from tests.harness.process import ROOT
from tests.unit.test_mutants import functions_of

PREFIX = "ORCHESTRATOR_PROVIDER__"
ENTRIES = (ProviderConfiguration, ProviderEntry, ModelEntry, Limits, Timeouts, Prices)
FIELDS = "tests/integration/pool/test_fields.py"
ROUTING = "tests/integration/routing/test_classifier.py"
RELOAD = "tests/integration/pool/test_reload.py"
PROBES = "tests/integration/pool/test_background_probes.py"
SERVICE = "tests/integration/test_models_in_service.py"
SETTINGS = "tests/integration/test_settings_change_behaviour.py"
COMMAND_LINE = "tests/integration/test_command_line.py"

_TIMEOUT = f"{FIELDS}::test_each_timeout_ends_its_wait"
_PRICE = f"{FIELDS}::test_prices_make_the_cost"
_ABLE = f"{FIELDS}::test_a_model_that_cannot_do_it_is_passed_over"
_MINUTE = f"{FIELDS}::test_limits_of_a_minute_reach_the_gate"
_SETTING = f"{SETTINGS}::test_a_provider_time_out_is_as_long_as_its_setting"

TESTS: Mapping[str, str] = {
    "ProviderConfiguration.currency": f"{FIELDS}::test_currency_is_what_prices_are_in",
    "ProviderConfiguration.providers": f"{FIELDS}::test_base_url_is_where_the_call_goes",
    "ProviderConfiguration.models": f"{RELOAD}::test_a_call_in_flight_keeps_what_it_began_with",
    "ProviderConfiguration.classes": f"{FIELDS}::test_classes_order_their_models",
    "ProviderEntry.kind": f"{FIELDS}::test_kind_chooses_the_adapter",
    "ProviderEntry.base_url": f"{FIELDS}::test_base_url_is_where_the_call_goes",
    "ProviderEntry.api_key_env": f"{FIELDS}::test_api_key_env_names_the_key",
    "ProviderEntry.langchain_provider": f"{FIELDS}::test_langchain_provider_reaches_the_adapter",
    "ProviderEntry.headers": f"{FIELDS}::test_headers_are_sent",
    "ProviderEntry.limits": _MINUTE,
    "ProviderEntry.timeouts": _TIMEOUT,
    "ProviderEntry.background_probe": (
        f"{PROBES}::test_background_probe_says_who_finds_out_that_a_provider_is_still_away"
    ),
    "ModelEntry.provider": f"{FIELDS}::test_provider_is_who_serves_the_model",
    "ModelEntry.model": f"{FIELDS}::test_model_is_the_id_that_the_vendor_sees",
    "ModelEntry.context_tokens": _ABLE,
    "ModelEntry.max_output_tokens": f"{FIELDS}::test_max_output_tokens_cuts_the_wish",
    "ModelEntry.tools": _ABLE,
    "ModelEntry.images": _ABLE,
    "ModelEntry.json_schema": _ABLE,
    "ModelEntry.routing": f"{ROUTING}::test_a_model_not_marked_is_never_asked",
    "ModelEntry.prices": _PRICE,
    "Limits.max_concurrency": f"{FIELDS}::test_max_concurrency_reaches_the_gate",
    "Limits.min_concurrency": f"{FIELDS}::test_min_concurrency_is_as_far_as_the_limit_falls",
    "Limits.requests_per_minute": _MINUTE,
    "Limits.tokens_per_minute": _MINUTE,
    "Timeouts.connect_seconds": f"{FIELDS}::test_connect_seconds_ends_the_wait_for_a_connection",
    "Timeouts.first_token_seconds": _TIMEOUT,
    "Timeouts.between_tokens_seconds": _TIMEOUT,
    "Timeouts.total_seconds": _TIMEOUT,
    "Prices.input_micros": _PRICE,
    "Prices.cached_input_micros": _PRICE,
    "Prices.output_micros": _PRICE,
    f"{PREFIX}FILE": f"{SERVICE}::test_a_file_that_cannot_be_used_is_a_line_and_no_start",
    f"{PREFIX}RELOAD_SECONDS": f"{SERVICE}::test_a_changed_file_is_looked_at_as_often_as_its_setting",
    f"{PREFIX}RETRY_SHARE": f"{SERVICE}::test_no_call_is_made_again_where_the_setting_allows_none",
    f"{PREFIX}IMAGES": (
        "tests/integration/usage/test_settings.py::test_the_one_model_sees_images_where_its_setting_says_so"
    ),
    f"{PREFIX}ROUTING": f"{ROUTING}::test_the_one_model_is_asked_unless_its_setting_says_no",
    f"{PREFIX}MAX_CONCURRENCY": (
        f"{SETTINGS}::test_the_model_without_a_file_is_called_as_often_at_once_as_its_setting"
    ),
    f"{PREFIX}MIN_CONCURRENCY": (
        f"{SETTINGS}::test_a_provider_that_refuses_gets_no_fewer_calls_than_the_setting_says"
    ),
    f"{PREFIX}MODEL": f"{COMMAND_LINE}::test_the_provider_is_the_one_the_environment_names",
    f"{PREFIX}CONTEXT_TOKENS": f"{SETTINGS}::test_the_context_of_the_model_decides_how_much_is_remembered",
    f"{PREFIX}CONNECT_SECONDS": f"{SETTINGS}::test_the_wait_for_a_connection_is_as_long_as_its_setting",
    f"{PREFIX}FIRST_TOKEN_SECONDS": _SETTING,
    f"{PREFIX}BETWEEN_TOKENS_SECONDS": _SETTING,
    f"{PREFIX}TOTAL_SECONDS": _SETTING,
}


def everything_that_can_be_set() -> Iterator[str]:
    for entry in ENTRIES:
        yield from (f"{entry.__name__}.{name}" for name in entry.model_fields)
    yield from (variable.name for variable in variables() if variable.name.startswith(PREFIX))


def test_whatever_can_be_set_has_a_test_and_nothing_else_has() -> None:
    assert sorted(TESTS) == sorted(everything_that_can_be_set())


@pytest.mark.parametrize(("name", "test"), TESTS.items(), ids=TESTS)
def test_the_test_of_a_field_is_there_and_its_file_names_the_field(name: str, test: str) -> None:
    path = ROOT / test.partition("::")[0]
    assert test in functions_of(path)
    field = name.removeprefix(PREFIX).rpartition(".")[2]
    assert field.lower() in path.read_text().lower()
