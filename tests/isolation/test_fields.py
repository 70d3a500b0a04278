"""The matrix knows every call and every text of the contract: a new one has to be told what it is."""

from typing import Any

from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos import orchestrator_pb2 as pb
from tests.harness.service import Service
from tests.isolation.kinds import METHODS, SERVICE, TEXTS, ids_of, texts_of

WITHOUT_AN_OWNER = {"HealthCheck", "GetServerInfo", "GetProviderStatus"}
"""What is the same for everybody; their requests are empty."""
WITHOUT_IDS = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
"""They know names of services and of files, and nothing that anybody owns."""


def test_every_text_of_a_request_is_an_id_of_a_kind_or_said_to_be_none() -> None:
    found: dict[str, set[str]] = {}
    for method in METHODS.values():
        for text in texts_of(method.input_type):
            found.setdefault(text.message, set()).add(text.name)
    assert {message: sorted(names) for message, names in found.items()} == {
        message: sorted(texts.names) for message, texts in TEXTS.items()
    }


def test_every_call_says_whose_it_is_or_is_the_same_for_everybody() -> None:
    assert {name for name in METHODS if "user_id" not in ids_of(name)} == WITHOUT_AN_OWNER
    for name in WITHOUT_AN_OWNER:
        assert list(METHODS[name].input_type.fields) == []


def test_a_name_that_ends_as_ids_do_is_an_id() -> None:
    names = {text.name: text.kind for method in METHODS.values() for text in texts_of(method.input_type)}
    ids = {name for name in names if name == "id" or name.endswith(("_id", "_ids", "_token", "_key"))}
    assert {name for name in ids if names[name] is None} == set()


async def test_the_server_offers_no_service_that_the_matrix_does_not_know(service: Service) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(service.channel)  # type: ignore[arg-type]
    asked: Any = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in stub.ServerReflectionInfo(iter([asked])):
        names = {each.name for each in response.list_services_response.service}
    assert names == {SERVICE.full_name, *WITHOUT_IDS}
    assert list(pb.DESCRIPTOR.services_by_name) == [SERVICE.name]
