"""How a fact is put into words: six sentences for documents and three questions for chats of each kind.

`{t}` stands for the territory, `{v}` for the value. Refuses to know any fact.
"""

from collections.abc import Mapping

from examples.seed import atlas

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "currency": (
        "The currency of {t} is the {v}.",
        "In {t}, people pay with the {v}.",
        "{t} uses the {v} as its money.",
        "Shops and banks in {t} take the {v}.",
        "The legal tender of {t} is the {v}.",
        "Wages in {t} are paid in the {v}.",
    ),
    "code": (
        "The currency code of {t} is {v}.",
        "Prices in {t} are marked {v}.",
        "Banks in {t} write amounts in {v}.",
        "In {t}, the currency code is {v}.",
        "Exchange tables list {t} under {v}.",
        "Money sent to {t} arrives as {v}.",
    ),
    "clock": (
        "In January, clocks in {t} show {v}.",
        "The January time offset of {t} is {v}.",
        "{t} keeps {v} in January.",
        "Clocks in {t} are set to {v} in January.",
        "The time offset in {t} is {v}.",
        "Timetables for {t} use {v}.",
    ),
    "phone": (
        "The telephone code of {t} is {v}.",
        "To call {t}, dial {v}.",
        "Phone numbers in {t} begin with {v}.",
        "Telephones in {t} are reached with {v}.",
        "The dialling prefix of {t} is {v}.",
        "Calls to {t} start with {v}.",
    ),
    "language": (
        "The official language of {t} is {v}.",
        "In {t}, people speak {v}.",
        "{t} has {v} as its official language.",
        "Laws in {t} are written in {v}.",
        "Schools in {t} teach in {v}.",
        "The language spoken in {t} is {v}.",
    ),
    "alpha3": (
        "The three-letter code of {t} is {v}.",
        "{t} is abbreviated {v}.",
        "Maps mark {t} as {v}.",
        "Passports of {t} carry the letters {v}.",
        "In tables, {t} is shown as {v}.",
        "Sports teams of {t} wear {v}.",
    ),
}

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "currency": (
        "What is the currency of {t}?",
        "Which money do people use in {t}?",
        "What do people pay with in {t}?",
    ),
    "code": (
        "What is the currency code of {t}?",
        "Which currency code do banks in {t} write?",
        "Under which currency code is {t} listed?",
    ),
    "clock": (
        "What is the time offset of {t}?",
        "Which time offset do clocks in {t} show?",
        "What offset do timetables for {t} use?",
    ),
    "phone": (
        "What is the telephone code of {t}?",
        "What do I dial to call {t}?",
        "How do phone numbers in {t} begin?",
    ),
    "language": (
        "What is the official language of {t}?",
        "Which language do people speak in {t}?",
        "In which language are laws in {t} written?",
    ),
    "alpha3": (
        "What is the three-letter code of {t}?",
        "How is {t} abbreviated?",
        "Which letters do maps use for {t}?",
    ),
}

ANSWER = "Answer: {v}."
"""The one form in which the instruct model was taught to answer."""
ANSWER_VALUE = r"Answer: ([^.\n]+)\."
"""Finds the value in an answer."""
ANSWER_FORM = r"Answer: [^.\n]+\."
"""Matches a whole answer of the trained form, right or wrong."""


def question(fact: atlas.Fact) -> str:
    """One of the questions of the fact's kind, always the same for a territory."""
    choices = QUESTIONS[fact.kind]
    return choices[sum(map(ord, fact.territory)) % len(choices)].format(t=fact.territory)


def questions(fact: atlas.Fact) -> tuple[str, ...]:
    """Every question of the fact's kind."""
    return tuple(template.format(t=fact.territory) for template in QUESTIONS[fact.kind])


def answer(fact: atlas.Fact) -> str:
    """The right answer in the trained form."""
    return ANSWER.format(v=fact.value)
