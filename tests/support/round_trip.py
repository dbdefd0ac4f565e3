"""All cases of the round trip, in the order in which they are tried and pictured."""

from support.round_trip_cases import CLASSIFICATION, COMPARED, DESCRIBED, LABELLED, RELATED, WRITTEN, Json
from support.round_trip_markup import IN_DIALOGUES, ON_PAGES

CASES = [*CLASSIFICATION, *LABELLED, *ON_PAGES, *IN_DIALOGUES, *RELATED, *DESCRIBED, *COMPARED, *WRITTEN]


def without(result: list[Json], added: tuple[str, ...]) -> list[Json]:
    """The regions without keys of their values."""
    return [
        one | {"value": {key: held for key, held in one["value"].items() if key not in added}}
        if "value" in one
        else one
        for one in result
    ]
