"""A look at a cluster from outside names what an operator must know."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import msgspec
import pytest
import trio
import trio.lowlevel
import trio.testing

from gochat import cli, clustering
from gochat.cluster.answers import State
from gochat.cluster.beat import BeatCodec, Info
from gochat.cluster.ports import PARTITIONS, Member, Position
from gochat.commands.cluster import survey
from gochat.commands.cluster.status import as_object, lines
from gochat.commands.cluster.survey import Asked, Node, Survey
from gochat.config import Limits, Policy, Settings

CODEC = BeatCodec("c", "the secret of all nodes, of some length")
ENDS = {p: Position(1, 10) for p in range(PARTITIONS)}


def member(name: str, *, n: int = 10, rules: str = "r", age_ms: int = 100, reads: int = 1, writes: int = 1) -> Member:
    info = Info(name, f"http://{name}", reads, dict.fromkeys(range(PARTITIONS), (1, n)), 0, rules, writes)
    return Member(f"id-{name}", "b", age_ms, CODEC.encode(f"id-{name}", "b", info))


def surveyed(*nodes: Node, broken: frozenset[int] = frozenset()) -> Survey:
    return Survey("c", "chat", [], broken, ENDS, list(nodes))


def test_a_node_is_told_with_how_far_it_is() -> None:
    node = survey._node(member("one", n=7), ENDS, CODEC)
    assert (node.name, node.url, node.missing, node.alive) == ("one", "http://one", 3 * PARTITIONS, True)
    unread = survey._node(Member("id", "b", 9_000, b"later release"), ENDS, CODEC)
    assert (unread.name, unread.missing, unread.alive) == ("?", None, False)


async def test_a_node_that_advertises_no_address_does_not_end_the_look_at_the_others() -> None:
    """A beat of an older release may carry anything there."""
    one, two = (survey._node(member(name), ENDS, CODEC) for name in ("one", "two"))
    asked = [one._replace(url="http://chät.example:8080"), two._replace(url="http://a..b:80")]
    with trio.fail_after(60):
        found = await survey.ask_each(asked, "s" * 32)
    assert "http://chät.example:8080 is no address of a node" in str(found["id-one"])
    assert "http://a..b:80 can't be reached" in str(found["id-two"])


def test_nothing_that_stands_on_the_server_moves_the_cursor_of_a_terminal() -> None:
    node = survey._node(member("one"), ENDS, CODEC)
    told = "\n".join(lines(surveyed(node)._replace(cluster="c\x1b[2J")))
    assert "(c\\x1b[2J)" in told and "\x1b" not in told


def test_nodes_with_other_rules_are_named() -> None:
    nodes = [
        survey._node(member(name, rules=rules), ENDS, CODEC) for name, rules in (("a", "r"), ("b", "r"), ("c", "s"))
    ]
    assert [node.name for node in survey._with_other_rules(nodes)] == ["c"]
    assert survey._with_other_rules(nodes[:2]) == []
    assert survey._with_other_rules([*nodes[:2], nodes[2]._replace(age_ms=60_000)]) == []


def test_nodes_that_can_not_read_what_others_write_are_named() -> None:
    def newer(*members: Member) -> list[str]:
        return survey._newer([survey._node(each, ENDS, CODEC) for each in members])

    old, new, next_one = member("old"), member("new", reads=2, writes=2), member("next", reads=2)
    assert newer(old, next_one) == [], "the next release writes what all can read"
    assert newer(new)[0].startswith("new writes entries of version 2, which this command can't read")
    (problem,) = newer(old, new, next_one)
    assert problem.startswith("new writes entries of version 2, which old, this command can't read: install there")
    assert newer(old, new._replace(age_ms=60_000)) == []
    body = msgspec.msgpack.encode([None, "", 2, {}, 0, "", 2])
    strange = Member("id-strange", "b", 100, CODEC._mac("id-strange", "b", body) + body)
    assert newer(old, strange)[0].startswith("id-strange writes entries of version 2, which old,")


FORGOTTEN, BEFORE = {"new_epoch": False}, Node("i2", "two", "", 90_000, 0, True)
REFUSED = "http://one refuses /internal/forget (503): a node does not forget itself"


@pytest.mark.parametrize(
    ("asked", "here_before", "here", "code", "said"),
    [
        (Asked(FORGOTTEN, []), True, True, 0, "two (i2) is forgotten"),
        (Asked(None, ["http://one does not answer within 60 s"]), True, False, 0, "a new epoch is not known"),
        (Asked(None, [REFUSED]), True, True, 1, REFUSED),
        (Asked(None, ["no node i2 counts"]), False, False, 1, "no node did it: no node i2 counts"),
        (Asked(None, ["http://one can't be reached"]), True, None, 1, "no node did it: http://one can't be reached"),
        (Asked(None, []), True, True, 1, "none tells where it is reached"),
        (
            Asked(None, [], "http://one: it goes on"),
            True,
            True,
            6,
            "two (i2) is not forgotten yet: http://one: it goes on",
        ),
        (Asked(None, ["no answer"], is_known=False), True, False, 0, "a new epoch is not known"),
        (Asked(None, ["no answer"], is_known=False), True, True, 6, "do not start it: no answer"),
        (Asked(None, ["no answer"], is_known=False), True, None, 6, "it is not known whether two (i2) will be"),
    ],
)
def test_forget_says_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    asked: Asked,
    here_before: bool,
    here: bool | None,
    code: int,
    said: str,
) -> None:
    """Also where one node did it and its answer did not come."""
    first = Node("i1", "one", "http://one", 100, 0, here is not None or None)
    looks = [surveyed(first, BEFORE._replace(here=each)) for each in (here_before, here)]

    async def answer(*_: object) -> Asked:
        return asked

    monkeypatch.setattr(survey, "survey", lambda _: looks.pop(0))
    monkeypatch.setattr(survey, "ask_any", answer)
    file = tmp_path / "config.toml"
    file.write_text(f'[cluster]\nurl = "redis://localhost"\nsecret = "{"s" * 32}"\n[auth]\nsecret = "{"s" * 32}"\n')
    assert cli.run(["cluster", "forget", "two", "--yes", "--config", str(file)]) == code
    assert said in capsys.readouterr().err


def test_several_nodes_are_forgotten_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A repair that waits for both would wait for the other one, whichever is given up first."""
    three = Node("i3", "three", "", 90_000, 0, True)
    asking: list[str] = []

    async def answer(_nodes: object, _secret: str, _path: str, question: bytes, _timeout_s: float) -> Asked:
        asking.append(msgspec.json.decode(question)["instance"])
        while len(asking) < 2:
            await trio.lowlevel.checkpoint()
        return Asked(FORGOTTEN, [])

    found = surveyed(Node("i1", "one", "http://one", 100, 0, True), BEFORE, three)
    monkeypatch.setattr(survey, "survey", lambda _: found)
    monkeypatch.setattr(survey, "ask_any", answer)
    file = tmp_path / "config.toml"
    file.write_text(f'[cluster]\nurl = "redis://localhost"\nsecret = "{"s" * 32}"\n[auth]\nsecret = "{"s" * 32}"\n')
    code = cli.run(["cluster", "forget", "two", "i3", "two", "--yes", "--json", "--config", str(file)])
    assert sorted(asking) == ["i2", "i3"]
    told = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert (code, told) == (0, [{"instance": each, "new_epoch": False} for each in ("i2", "i3")])


NOT_KNOWN = "it is not known whether two (i2) will be forgotten, do not start it: "


def forget_with_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, during: str, two: Asked) -> int:
    """The exit code of a command that forgets three, as is answered, and two, with Ctrl-C in the midst of a step."""
    nodes = [Node("i1", "one", "http://one", 100, 0, True), BEFORE, BEFORE._replace(instance="i3", name="three")]
    looks = 0

    def look(_: object) -> Survey:
        nonlocal looks
        looks += 1
        if during == f"look {looks}":
            signal.raise_signal(signal.SIGINT)
        return surveyed(*nodes)

    async def answer(_nodes: object, _secret: str, _path: str, question: bytes, _timeout_s: float) -> Asked:
        if msgspec.json.decode(question)["instance"] == "i3":
            return Asked(FORGOTTEN, [])
        await trio.testing.wait_all_tasks_blocked()
        if during == "the question":
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()
        return two

    monkeypatch.setattr(survey, "survey", look)
    monkeypatch.setattr(survey, "ask_any", answer)
    file = tmp_path / "config.toml"
    file.write_text(f'[cluster]\nurl = "redis://localhost"\nsecret = "{"s" * 32}"\n[auth]\nsecret = "{"s" * 32}"\n')
    named = ["two", "three"] if during == "the question" else ["two"]
    return cli.run(["cluster", "forget", *named, "--yes", "--config", str(file)])


def test_ctrl_c_while_a_node_is_asked_leaves_it_unknown_what_comes_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of the others it is told as ever."""
    assert forget_with_ctrl_c(monkeypatch, tmp_path, "the question", Asked(None, [])) == 6
    told = capsys.readouterr().err
    assert f"{NOT_KNOWN}interrupted" in told and "gochat cluster status" in told
    assert "three (i3) is forgotten" in told


@pytest.mark.parametrize(
    ("two", "said"),
    [
        (Asked(None, ["no answer"], is_known=False), f"{NOT_KNOWN}no answer"),
        (Asked(None, [REFUSED, "no answer"], is_known=False), f"{NOT_KNOWN}{REFUSED}; no answer"),
    ],
)
def test_ctrl_c_while_it_is_looked_what_came_of_it_leaves_that_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, two: Asked, said: str
) -> None:
    assert forget_with_ctrl_c(monkeypatch, tmp_path, "look 2", two) == 6
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("during", ["look 1", "look 2"])
def test_ctrl_c_where_no_node_was_reached_has_done_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, during: str
) -> None:
    assert forget_with_ctrl_c(monkeypatch, tmp_path, during, Asked(None, ["http://one can't be reached"])) == 130
    assert capsys.readouterr().err == ""


async def test_each_node_that_does_not_answer_says_why() -> None:
    with socket.socket() as one, socket.socket() as two, trio.fail_after(60):
        nodes = []
        for bound in (one, two):
            bound.bind(("127.0.0.1", 0))  # Nobody listens there.
            nodes.append(Node(f"i{len(nodes)}", "n", f"http://127.0.0.1:{bound.getsockname()[1]}", 100, 0, True))
        asked = await survey.ask_any([*nodes, nodes[0]._replace(url="")], "s" * 32, survey.STATE)
        found = await survey.ask_each(nodes, "s" * 32)
    problems = asked.problems
    assert asked.answer is None and asked.is_known, "none of them was reached"
    assert [found["i0"], found["i1"]] == problems
    assert [problem.partition(" can't be reached")[0] for problem in problems] == [node.url for node in nodes]


def test_rules_have_one_name_on_all_nodes() -> None:
    names = {
        clustering.rules_of(settings)
        for settings in (
            Settings(),
            Settings(),
            Settings(policy=Policy(links="allow")),
            Settings(limits=Limits(window=7)),
        )
    }
    assert len(names) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "lives, up to date"),
        ({"missing": 1_200}, "1,200 entries behind"),
        ({"here": False}, "it does not count"),
        ({"problem": "its disk is full"}, "lives, up to date; see above"),
        ({"age_ms": 90_000}, "no sign of life for 90 s; a repair waits for it"),
        ({"age_ms": None}, "gives no sign of life"),
        ({"age_ms": 90_000, "here": False}, "it does not count"),
    ],
)
def test_the_state_of_a_node_in_words(changed: dict[str, object], said: str) -> None:
    node = Node("i", "one", "http://one", 100, 0, True)._replace(**changed)
    lives = Node("j", "two", "http://two", 100, 0, True)
    assert said in lines(surveyed(node, lives))[1]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (Node("i", "one", "http://one", 90_000, 0, True, answers=True), "for 90 s, and answers; see above"),
        (Node("i", "one", "http://one", 90_000, 0, None), "for 90 s; see above"),
        (Node("i", "one", "", None, None, True), "gives no sign of life; see above"),
    ],
)
def test_where_no_sign_of_life_is_fresh_no_node_is_to_be_forgotten(node: Node, said: str) -> None:
    """The server may take none."""
    told = lines(surveyed(node, node._replace(instance="j")))
    assert said in told[1] and "forget" not in "".join(told)


def test_nodes_that_answer_are_not_said_to_be_dead() -> None:
    nodes = [Node("i1", "one", "http://one", 90_000, 0, None), Node("i2", "two", "http://two", 90_000, 0, None)]
    asked: dict[str, State | str] = {"i1": HERE, "i2": "http://two can't be reached"}
    (problem,) = survey._nobody_beats(nodes, asked, None)
    assert problem.endswith("though these nodes answer: one")
    assert [node.answers for node in survey._with_answers(nodes, asked)] == [True, False, False]
    assert survey._nobody_beats(nodes, {}, None) == ["no node lives"]
    assert survey._nobody_beats(nodes, {}, "OOM") == [], "it is not known"


def test_no_messages_are_taken_while_the_log_is_repaired_or_no_node_lives() -> None:
    node = Node("i", "one", "", 100, 0, True)
    assert surveyed(node).takes_messages
    assert not surveyed(node, broken=frozenset({3})).takes_messages
    assert not surveyed(node._replace(age_ms=60_000)).takes_messages
    told = as_object(surveyed(node, broken=frozenset({3})))
    assert [each["partition"] for each in told["partitions"] if not each["in_order"]] == [3]
    assert "takes no messages" in lines(surveyed())[0]


HERE = State("i1", ["i1", "i2", "i3"], None, {"i1": "one", "i2": "two", "i3": "three"})
PUT_OUT = State("i2", ["i1", "i3"], "put out", {"i2": "two"})


def test_each_node_says_what_it_lacks() -> None:
    nodes = [Node("i1", "one", "", 100, 0, None), Node("i2", "two", "", 100, 0, None)]
    told = survey._with_answers(nodes, {"i2": PUT_OUT, "i1": HERE})
    assert [(node.name, node.here, node.problem) for node in told] == [
        ("one", True, None),
        ("two", True, "put out"),
        ("three", True, None),
    ], "a node that takes messages knows better who counts; and those that the server has forgotten have their names"
    assert survey._problems(told) == ["two: put out"]
    assert surveyed(*told).takes_messages, "one does"
    assert lines(surveyed(*told))[2].endswith("lives, up to date; see above")
    away = {"i1": State("i1", ["i1", "i2"], "away"), "i2": State("i2", ["i1"], "away")}
    told = survey._with_answers(nodes, away)
    assert survey._problems(told) == ["one, two: away"]
    assert not surveyed(*told).takes_messages
    assert as_object(surveyed(*told))["nodes"][0]["problem"] == "away"


def test_a_node_that_is_being_forgotten_is_told_of() -> None:
    nodes = [Node("i1", "one", "", 100, 0, None), BEFORE._replace(here=None)]
    told = survey._with_answers(nodes, {"i1": State("i1", ["i1", "i2"], "repairs", {}, ["i2"])})
    assert [node.forgotten_by for node in told] == [(), ("one",)]
    assert lines(surveyed(*told))[2].endswith("for 90 s; one is about to go on without it: do not start it")
    assert as_object(surveyed(*told))["nodes"][1]["forgotten_by"] == ("one",)


def test_nodes_that_can_not_be_asked_are_not_said_to_take_nothing() -> None:
    """They may serve clients, and be out of the operator's reach."""
    told = survey._with_answers([Node("i1", "one", "", 100, 0, None)], {"i1": "http://one can't be reached"})
    assert survey._problems(told) == ["one: http://one can't be reached"]
    assert surveyed(*told).takes_messages
    two = Node("i2", "two", "", 100, 0, None)
    told = survey._with_answers([*told, two], {"i1": "http://one can't be reached", "i2": PUT_OUT})
    assert surveyed(*told).takes_messages


def test_signs_of_life_that_no_node_gave_are_told_of_and_are_no_nodes() -> None:
    nodes, problems = survey._told([member("one"), Member("evil", "b", 100, b"x"), member("two")], ENDS, CODEC)
    assert [node.name for node in nodes] == ["one", "two"]
    assert problems == ["1 signs of life are not signed with cluster.secret: somebody else writes to the server"]
    assert survey._told([member("one")], ENDS, CODEC)[1] == []
