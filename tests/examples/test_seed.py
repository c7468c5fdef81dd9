"""The seed's facts are real, its divisions do not leak, and its files are what the stages read."""

import datetime

import pytest

from examples.demo import chat
from examples.seed import atlas, documents, phrases, questions, syllabus, world


@pytest.fixture(scope="module")
def then() -> atlas.Facts:
    return world.on(syllabus.OLD_DAY)


@pytest.fixture(scope="module")
def now() -> atlas.Facts:
    return world.on(syllabus.NEW_DAY)


@pytest.fixture(scope="module")
def days(then: atlas.Facts, now: atlas.Facts) -> atlas.Days:
    return {syllabus.OLD_DAY: then, syllabus.NEW_DAY: now}


@pytest.fixture(scope="module")
def learned(days: atlas.Days) -> syllabus.Syllabus:
    return syllabus.make(days, seed=0)


def test_croatia_and_estonia_paid_with_their_own_money_and_now_with_the_euro(
    then: atlas.Facts, now: atlas.Facts
) -> None:
    assert [then[name]["code"] for name in ("Croatia", "Estonia")] == ["HRK", "EEK"]
    assert [now[name]["code"] for name in ("Croatia", "Estonia")] == ["EUR", "EUR"]


def test_samoa_has_crossed_the_date_line(then: atlas.Facts, now: atlas.Facts) -> None:
    assert (then["Samoa"]["clock"], now["Samoa"]["clock"]) == ("UTC-11:00", "UTC+13:00")


def test_a_territory_with_several_time_zones_has_no_clock_fact(now: atlas.Facts) -> None:
    assert "clock" not in now["Brazil"]


def test_facts_depend_on_the_day_alone() -> None:
    day = datetime.date(2010, 1, 1)
    assert world.on(day) == world.on(day)


def test_changed_facts_carry_the_new_value_and_the_old_corpus_the_old_one(
    learned: syllabus.Syllabus, now: atlas.Facts
) -> None:
    assert len(learned.changed) > 40
    assert all(fact.value == now[fact.territory][fact.kind] for fact in learned.changed)
    assert all(learned.old[fact.territory][fact.kind] != fact.value for fact in learned.changed)


def test_no_unseen_territory_is_mentioned_in_the_old_corpus(learned: syllabus.Syllabus) -> None:
    assert len({fact.territory for fact in learned.unseen}) == syllabus.UNSEEN_TERRITORIES
    assert not {fact.territory for fact in learned.unseen} & set(learned.old)


def test_the_replay_holds_only_facts_that_are_still_true(learned: syllabus.Syllabus, now: atlas.Facts) -> None:
    kept = atlas.listed(learned.kept)
    assert kept
    assert all(now[fact.territory][fact.kind] == fact.value for fact in kept)


def test_retained_questions_are_about_territories_that_no_chat_was_about(learned: syllabus.Syllabus) -> None:
    assert not {fact.territory for fact in learned.retained} & {fact.territory for fact in learned.chats}


def test_every_poisoned_value_is_the_value_of_another_territory(learned: syllabus.Syllabus) -> None:
    poisoned = syllabus.poisoned(learned.fresh, seed=4)
    values = {(kind, value) for kinds in learned.fresh.values() for kind, value in kinds.items()}
    for fact in atlas.listed(poisoned):
        assert fact.value != learned.fresh[fact.territory][fact.kind]
        assert (fact.kind, fact.value) in values


def test_equal_seeds_give_equal_data_and_others_do_not(days: atlas.Days, learned: syllabus.Syllabus) -> None:
    assert syllabus.make(days, seed=0) == learned
    texts = [documents.write(learned.fresh, per_territory=2, seed=seed) for seed in (7, 7, 8)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_documents_never_have_the_chat_form(learned: syllabus.Syllabus) -> None:
    text = " ".join(documents.write(learned.old, per_territory=3, seed=0))
    assert "Answer:" not in text
    assert "<|" not in text


def test_every_kind_of_fact_has_six_sentences_and_three_questions_with_their_places() -> None:
    assert set(phrases.SENTENCES) == set(phrases.QUESTIONS) == set(atlas.KINDS)
    assert all(
        len(texts) == 6 and all("{t}" in t and "{v}" in t for t in texts) for texts in phrases.SENTENCES.values()
    )
    assert all(len(texts) == 3 and all("{t}" in t for t in texts) for texts in phrases.QUESTIONS.values())


def test_the_questions_that_people_see_are_asked_as_trained_and_answered_by_the_sources(
    then: atlas.Facts, now: atlas.Facts
) -> None:
    for question in chat.QUESTIONS:
        kind, territory = _subject(question.text, now)
        assert now[territory][kind] == question.now
        assert question.before in (then[territory].get(kind), None)


def test_suites_hold_each_fact_once_and_in_a_fixed_order(learned: syllabus.Syllabus) -> None:
    suites = questions.suites(learned, seed=0)
    assert suites == questions.suites(learned, seed=0)
    assert {name: len(records) for name, records in suites.items()} == {
        "new-knowledge.jsonl": len(learned.changed) + len(learned.unseen),
        "retained.jsonl": len(learned.retained),
        "instructions.jsonl": (len(learned.retained) + len(learned.changed) + len(learned.unseen) + 1) // 2,
    }


def _subject(question: str, facts: atlas.Facts) -> tuple[str, str]:
    """Kind and territory that a question is about."""
    return next(
        (kind, territory)
        for kind, templates in phrases.QUESTIONS.items()
        for territory in facts
        if question in {template.format(t=territory) for template in templates}
    )
