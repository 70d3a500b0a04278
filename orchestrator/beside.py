"""Which models are asked beside the answer of a run: for titles and summaries."""

from agents.aside import Aside, Craft
from orchestrator.choosing import CLASSIFIER
from providers.base import ModelInfo
from providers.file.entries import DEFAULT_CLASS
from providers.pool.beside import BesideBudget
from providers.pool.choice import ClassChoice, ModelChoice
from providers.pool.model import PooledModel
from providers.pool.needs import Needs
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunBudget
from state.errors import InvalidRequestError

_FIT = Needs(routing=True)
"""Who may choose an agent may do this too."""


def aside_of(
    models: ModelPool, craft: Craft, pinned: ModelChoice | None, own: ClassChoice, budget: RunBudget
) -> Aside:
    """For an agent whose own models are `own`; a request that is `pinned` to its models goes to no others.

    Titles are for a fast model that is not simply the one that answers: else one more call of that one would
    be the price of each new conversation.
    """
    beside = BesideBudget(budget)

    def model(choice: ModelChoice) -> PooledModel | None:
        fit = _first(models, choice, _FIT) is not None
        return PooledModel(models, choice, budget=beside, needs=_FIT) if fit else None

    if pinned is not None:
        return Aside(craft, None, model(pinned))
    fast, usual = _first(models, CLASSIFIER, _FIT), _first(models, ClassChoice(DEFAULT_CLASS), Needs())
    titler = model(CLASSIFIER) if fast != usual else None
    return Aside(craft, titler, model(CLASSIFIER) or model(own))


def _first(models: ModelPool, choice: ModelChoice, needs: Needs) -> ModelInfo | None:
    try:
        return models.infos(choice, needs)[0]
    except InvalidRequestError:
        return None
