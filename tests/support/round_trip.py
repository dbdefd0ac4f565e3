"""All cases of the round trip, in the order in which they are tried and pictured."""

from support.round_trip_cases import CLASSIFICATION, COMPARED, DESCRIBED, LABELLED, RELATED, WRITTEN
from support.round_trip_markup import IN_DIALOGUES, ON_PAGES

CASES = [*CLASSIFICATION, *LABELLED, *ON_PAGES, *IN_DIALOGUES, *RELATED, *DESCRIBED, *COMPARED, *WRITTEN]
