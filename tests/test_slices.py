"""Slices: each sentence falls into the one that a reader would put it in."""

import pytest

from conflict_claims.corpus.records import Sentence
from conflict_claims.slices import KINDS, slices

TEXT = "The town fell on Monday."


def sentence(text=TEXT, **more):
    return Sentence(**({"id": "1", "text": text, "labels": (), "story": "s"} | more))


def test_place_and_decade_come_from_the_setting_and_only_from_there():
    assert KINDS["region"](sentence(setting="Syria, Homs, 2012")) == "Middle East and North Africa"
    assert KINDS["decade"](sentence(setting="Syria, Homs, 2012")) == "2010s"
    assert KINDS["region"](sentence()) == KINDS["decade"](sentence()) == ""


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("capitals", "THE ARMY TOOK THE TOWN (REUTERS)", "all or nearly all"),
        ("capitals", "Army Takes Town, Says Minister", "most words begin with one"),
        ("capitals", TEXT, "few"),
        ("quotation marks", '"We ran," she said.', "yes"),
        ("quotation marks", "'We ran,' she said.", "yes"),
        ("quotation marks", "The army's men didn't run.", "no"),
        ("negation", "They didn't run.", "yes"),
        ("negation", "He denied it.", "yes"),
        ("negation", "The north is cold.", "no"),
        ("length", "Ten words " * 5, "up to 10 words"),
        ("length", "Eleven words " * 6, "11 to 20 words"),
    ],
)
def test_a_text_falls_into_its_slice(kind, text, value):
    assert KINDS[kind](sentence(text)) == value


def test_a_kind_that_tells_nothing_apart_is_left_out():
    rows = [sentence(genre="wire"), sentence("No one came.", genre="wire")]
    assert {(kind, value, mask.sum()) for kind, value, mask in slices(rows)} == {
        ("negation", "no", 1),
        ("negation", "yes", 1),
    }
