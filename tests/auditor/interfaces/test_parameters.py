"""Facts about the subject are put into requests without changing what is asked."""

from __future__ import annotations

import pytest
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.parameters import facts, fill, fill_path, fill_query

from tests.support.retrieval import SUBJECT


def test_facts_have_the_names_of_the_document() -> None:
    known = facts(SUBJECT)
    assert known["subject.registeredModel"] == "credit-scoring"
    assert known["subject.namespace"] == "credit"
    assert known["subject.serviceName"] == "scoring"
    assert "subject.imageDigest" not in known


def test_values_are_put_in() -> None:
    assert fill("v${subject.version}", SUBJECT) == "v3"
    assert fill_path("/models/${subject.registeredModel}/${subject.version}", SUBJECT) == "/models/credit-scoring/3"
    assert fill_query('up{model="${subject.registeredModel}"}', SUBJECT) == 'up{model="credit-scoring"}'


def test_an_unknown_fact_names_the_known_ones() -> None:
    with pytest.raises(RetrieveError, match=r"subject\.nothing.*subject\.version"):
        fill("${subject.nothing}", SUBJECT)
    with pytest.raises(RetrieveError, match="imageDigest"):
        fill("${subject.imageDigest}", SUBJECT)


@pytest.mark.parametrize(
    "value", ['x"} or vector(1) #', "a b", "x\n", "a'b", "a\\b", "a%2fb", "ü", "", "a{b}", "a;b", "a&b=c", "a?b#c"]
)
def test_a_value_with_other_characters_is_refused(value: str) -> None:
    subject = SUBJECT.model_copy(update={"version": value})
    for put, text in ((fill, "${subject.version}"), (fill_path, "/${subject.version}")):
        with pytest.raises(RetrieveError, match="characters"):
            put(text, subject)
    with pytest.raises(RetrieveError, match="characters"):
        fill_query('up{v="${subject.version}"}', subject)


@pytest.mark.parametrize("value", ["..", ".", "a/b", "a/../b"])
def test_a_value_stays_in_its_segment_of_a_path(value: str) -> None:
    with pytest.raises(RetrieveError, match="characters"):
        fill_path("/a/${subject.version}", SUBJECT.model_copy(update={"version": value}))


def test_outside_quotes_a_query_takes_no_fact() -> None:
    for query in ("up{v=${subject.version}}", "${subject.version}", 'up{a="b"} > ${subject.version}'):
        with pytest.raises(RetrieveError, match="quotes"):
            fill_query(query, SUBJECT)


def test_in_a_regular_expression_a_fact_matches_only_itself() -> None:
    subject = SUBJECT.model_copy(update={"version": "1.2+3"})
    assert fill_query('up{v=~"${subject.version}"}', subject) == 'up{v=~"1\\\\.2\\\\+3"}'
    assert fill_query("up{v=~`${subject.version}`}", subject) == "up{v=~`1\\.2\\+3`}"
    assert fill_query('up{v="${subject.version}"}', subject) == 'up{v="1.2+3"}'


def test_a_quote_in_a_comment_does_not_confuse() -> None:
    query = "up # it's\n + ${subject.version}"
    with pytest.raises(RetrieveError, match="quotes"):
        fill_query(query, SUBJECT)
