"""Where the controller sets the percentage: the flag file, or a value of this process that goes before a
provider's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata

from llm_orchestrator_client.rollout.flag_file import write_flag
from llm_orchestrator_client.rollout.flags import Flag


class PercentageTarget(Protocol):
    """Where a percentage is set."""

    def set(self, percentage: float) -> None:
        """Raises: OSError, ValueError: it cannot be set; the old one stays."""
        ...


class FlagFileTarget:
    """Writes GRPC_ORCHESTRATOR_PERCENTAGE into a flag file; everything else in it stays."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, percentage: float) -> None:
        write_flag(self._path, Flag.PERCENTAGE, percentage)


class HeldPercentage(AbstractProvider):
    """A provider in front of another: the percentage that was set here goes before the other's; None = the
    other's.
    """

    def __init__(self, inner: FeatureProvider) -> None:
        super().__init__()
        self._inner = inner
        self.percentage: float | None = None

    def set(self, percentage: float) -> None:
        """Hold this percentage from now on."""
        self.percentage = float(percentage)

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        self._inner.initialize(evaluation_context)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def get_metadata(self) -> Metadata:
        return self._inner.get_metadata()

    def get_provider_hooks(self) -> list[Hook]:
        return self._inner.get_provider_hooks()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._inner.resolve_boolean_details(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._inner.resolve_string_details(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._inner.resolve_integer_details(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        if flag_key == Flag.PERCENTAGE and self.percentage is not None:
            return FlagResolutionDetails(self.percentage, reason=Reason.STATIC)
        return self._inner.resolve_float_details(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._inner.resolve_object_details(flag_key, default_value, evaluation_context)
