"""Slices: each sentence falls into the one that a reader would put it in."""

import pytest

from conflict_claims.corpus.records import Sentence
from conflict_claims.slices import KINDS, decade, region, slices

TEXT = "The town fell on Monday."


def sentence(text=TEXT, **more):
    return Sentence(**({"id": "1", "text": text, "labels": (), "story": "s"} | more))


@pytest.mark.parametrize(
    ("setting", "where", "when"),
    [
        ("Syria, Homs, 2012", "Middle East", "2010s"),
        ("Lebanon, Tripoli, 2012", "Middle East", "2010s"),
        ("Libya, Tripoli", "North Africa", ""),
        ("Nigeria, Borno, 2014-2020", "Sub-Saharan Africa", "2020s"),
        ("Niger, Tillaberi, 2021", "Sub-Saharan Africa", "2020s"),
        ("UK, Syria and Iraq, London, 2016", "Europe", "2010s"),
        ("Turkey and Syria, 1990s", "Middle East", "1990s"),
        ("India, Manipur", "South Asia", ""),
        ("", "", ""),
    ],
)
def test_the_place_named_first_and_the_year_named_last_decide(setting, where, when):
    assert (region(setting), decade(setting)) == (where, when)


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
