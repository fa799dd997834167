"""The figures of a page in the order of its questions: how much, where, when, what, how sure."""

from __future__ import annotations

import polars as pl

from weightspace.dissection import Dissection
from weightspace.report.claims import findings
from weightspace.report.claims.headline import Headline, headline
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import charts, drawings, reading, rows
from weightspace.report.drawing.section import Key, Section, panels
from weightspace.report.sections import (
    bare,
    calibration,
    classifiers,
    guesses,
    maps,
    numbers,
    slices,
    transfer,
    unseen,
    what,
)


def sections(dissection: Dissection, head: Headline) -> list[Section]:
    """The figures that have numbers."""
    return [
        *_how_much(dissection, head),
        *_where(dissection, head),
        *_when(dissection, head),
        *_what(dissection, head),
        *_how_sure(dissection, head),
    ]


def _how_much(dissection: Dissection, head: Headline) -> list[Section]:
    much = dissection.much
    found = [_much("much", "How much", "off slices", head, much.frame())]
    if "net" in much.frame()["unit"] and head.unit != "net":
        whole = headline(much.frame(), "net")
        found.append(_much("whole", "How much, from whole nets", "whole nets", whole, much.frame()))
    if much.hits is not None:
        beside = classifiers.side_by_side(much)
        found.append(classifiers.section(beside, head.properties))
    if dissection.slices is not None and dissection.slices.frame().height:
        found.append(slices.section(dissection.slices.frame(), head.properties))
    if dissection.bare is not None and (pairs := bare.pairs(much, dissection.bare, head)):
        found.append(bare.section(pairs, dissection.bare))
    if dissection.numbers is not None and dissection.numbers.frame().height:
        found.append(numbers.section(dissection.numbers))
        if shown := guesses.guesses(dissection.numbers):
            found.append(guesses.section(dissection.numbers, shown))
    return found


def _much(name: str, kicker: str, short: str, head: Headline, frame: pl.DataFrame) -> Section:
    key: Key = (("dot-blue", "accuracy"),)
    if head.lines[0].shallow:
        key += (("dot-small", "shallow baseline"),)
    key += (("tick", "chance"),)
    if head.lines[0].control:
        key += (("band", "meaningless labels"),)
    return Section(
        name,
        "How much",
        kicker,
        short,
        findings.much(head),
        reading.much(head),
        charts.much([label(line) for line in head.properties]),
        rows.much(head),
        frame.filter(unit=head.unit),
        key=key,
        draw=lambda: drawings.much(head),
    )


def _where(dissection: Dissection, head: Headline) -> list[Section]:
    place, order, found = dissection.where.frame(), head.properties, []
    position = place.filter(pl.col("axis") == "position")
    if position.height:
        found.append(
            Section(
                "where",
                "Where",
                "Where along the vector",
                "along the vector",
                findings.where(place),
                reading.where(position),
                charts.along(),
                rows.where(place),
                position,
                panels(position, order),
                rows.layers(dissection.facts),
                key=(
                    ("dot-blue", "accuracy; in the strip below, conv layers"),
                    ("dot-orange", "fc layers"),
                ),
                draw=lambda: drawings.where(place, order, dissection.facts),
            )
        )
    inner = place.filter(pl.col("axis") != "position")
    if inner.height:
        part_rows, part_order = rows.parts(place)
        found.append(
            Section(
                "part",
                "Where",
                "Where by part and depth",
                "by part and depth",
                findings.parts(place),
                reading.part(place),
                charts.parts(part_order),
                part_rows,
                inner,
                panels(inner, order),
                key=(("dot-blue", "conv layers"), ("dot-orange", "fc layers")),
                wide=True,
                draw=lambda: drawings.part(place, order),
            )
        )
    return found


def _when(dissection: Dissection, head: Headline) -> list[Section]:
    moments, order, found = dissection.when.frame(), head.properties, []
    if moments.height:
        found.append(
            Section(
                "when",
                "When",
                "When",
                "over training",
                findings.when(moments, order),
                reading.when(moments),
                charts.over_training(),
                rows.when(moments),
                moments,
                panels(moments, order),
                draw=lambda: drawings.when(moments, order),
            )
        )
    if dissection.transfer is not None and dissection.transfer.frame().height:
        found.append(transfer.section(dissection.transfer.frame(), order))
    trained = dissection.training.frame()
    if trained.height:
        endings = rows.endings(trained)
        found.append(
            Section(
                "training",
                "When",
                "The nets themselves",
                "the nets themselves",
                findings.training(trained),
                reading.training(),
                charts.training(),
                rows.training(trained),
                trained,
                list(endings),
                details={
                    name: f"ends at {percent(row['accuracy'])}, 80 % of nets within "
                    f"{interval(row['low'], row['high'])}"
                    for name, row in endings.items()
                },
                wide=True,
                chosen=False,
                draw=lambda: drawings.training(trained),
            )
        )
    return found


def _what(dissection: Dissection, head: Headline) -> list[Section]:
    found, order = [], head.properties
    if dissection.what is not None:
        table = dissection.what.frame()
        found += [what.section(table, kind, order) for kind in what.kinds(table)]
    if dissection.map is not None and dissection.map.frame().height:
        places = dissection.map.frame()
        found += [maps.section(places, order), maps.paths_section(places)]
    return found


def _how_sure(dissection: Dissection, head: Headline) -> list[Section]:
    known, found = calibration.figures_of(dissection.much), []
    if known is not None:
        found.append(calibration.section(*known, head.properties))
    if dissection.unseen is not None:
        found += unseen.sections(dissection.unseen.frame(), head.properties)
    return found
