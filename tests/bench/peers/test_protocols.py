"""The messages that the load reads of each protocol, from bytes alone, and the text of the page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from bench.faults import Fault
from bench.load.outcome import Length
from bench.peers.base import BODY, MARK, Inbox, Marks, body
from bench.peers.cli import main
from bench.peers.mosquitto import Mosquitto, Packets
from bench.peers.page import page
from bench.peers.roster import PEERS
from bench.peers.run import BOUNDS, DM_1, DM_16, FANOUT, LISTS, LOADS, SINGLE, Found, Options, cpu_ratio_to, ratio_to
from bench.results import Measure

pytestmark = pytest.mark.peers

Said = Callable[[int], bytes]


def frame(text: bytes) -> bytes:
    """As a WebSocket server sends it."""
    return (bytes((0x81, len(text))) if len(text) < 126 else b"\x81\x7e" + len(text).to_bytes(2, "big")) + text


def published(number: int) -> bytes:
    return Mosquitto().to_room("bench", number)


#: The bytes that a server sends for message n, and for the ack of it where there is one.
SAID: dict[str, tuple[Said, Said | None]] = {
    "python-socketio": (
        lambda n: frame(b'42["message",{"from":"u0000","body":"%s"}]' % body(n)),
        lambda n: frame(b'43%d["ok"]' % n),
    ),
    "socketio-node": (
        lambda n: frame(b'42["message",{"from":"u0000","body":"%s"}]' % body(n)),
        lambda n: frame(b'43%d["ok"]' % n),
    ),
    "websockets": (
        lambda n: frame(b'{"type": "message", "from": "u0000", "body": "%s"}' % body(n)),
        lambda n: frame(b'{"type": "ack", "id": %d}' % n),
    ),
    "ejabberd": (lambda n: b"<message to='u' id='%d' from='b'><body>%s</body></message>" % (n, body(n)), None),
    "prosody": (lambda n: b"<message from='b' id='%d' to='u'><body>%s</body></message>" % (n, body(n)), None),
    "ngircd": (
        lambda n: b":u0000!~u0000@127.0.0.1 PRIVMSG #bench :%s\r\n" % body(n),
        lambda n: b":irc.bench PONG irc.bench :%d\r\n" % n,
    ),
    "mosquitto": (published, lambda n: b"\x40\x02" + (n % 65_535 + 1).to_bytes(2, "big")),
    "nats": (lambda n: b"MSG room.bench 2 100\r\n%s\r\n" % body(n), None),
}


def counted(inbox: Inbox, pieces: list[bytes]) -> tuple[int, int, bytes]:
    answers = b"".join([inbox.take(piece) for piece in pieces])
    return inbox.delivered, inbox.acked, answers


def stream(name: str) -> tuple[bytes, int, int, bytes]:
    """Bytes with five messages and the acks of three, the counts, and the answer that they want."""
    message, ack = SAID[name]
    parts = [message(1), message(2), *([ack(1), ack(2)] if ack else []), message(3), *([ack(3)] if ack else [])]
    answer = b"".join(b"\x40\x02" + (n + 1).to_bytes(2, "big") for n in range(1, 6)) if name == "mosquitto" else b""
    return b"".join([*parts, message(4), message(5)]), 5, 3 if ack else 0, answer


def test_every_peer_has_its_bytes_here() -> None:
    assert SAID.keys() == PEERS.keys()


def test_a_body_has_its_size() -> None:
    assert {len(body(number)) for number in (1, 99_999_999)} == {BODY}


@pytest.mark.parametrize("name", PEERS)
def test_messages_and_acks_are_counted_wherever_the_bytes_are_cut(name: str) -> None:
    data, *expected = stream(name)
    for at in range(len(data) + 1):
        assert counted(PEERS[name].inbox(), [data[:at], data[at:]]) == tuple(expected), at
    assert counted(PEERS[name].inbox(), [data[at : at + 1] for at in range(len(data))]) == tuple(expected)


@pytest.mark.parametrize("numbers", [(1, 3), (1, 1), (2,), (1, 2, 2), (1, 2, 4)])
@pytest.mark.parametrize("name", PEERS)
def test_a_message_lost_or_repeated_is_a_fault(name: str, numbers: tuple[int, ...]) -> None:
    data = b"".join(map(SAID[name][0], numbers))
    with pytest.raises(Fault, match=f"message {len(numbers)} expected, got number"):
        counted(PEERS[name].inbox(), [data])
    with pytest.raises(Fault, match="expected, got number"):
        counted(PEERS[name].inbox(), [data[at : at + 7] for at in range(0, len(data), 7)])


def test_an_ack_mark_longer_than_what_is_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 24"):
        Marks(b"x" * 25)


def test_a_packet_that_no_broker_sends_is_a_fault() -> None:
    with pytest.raises(Fault, match="first byte 0xd0"):
        Packets().take(b"\xd0\x00\x00")


def test_packets_of_different_sizes_are_told_apart() -> None:
    inbox = Packets()
    long = Mosquitto().to_room("a" * 40, 2)
    assert long[1] > 127  # Its length takes two bytes.
    assert counted(inbox, [published(1) + long + long[:0] + published(3)])[:2] == (3, 0)


def figures(value: dict[str, dict[str, float]], turn: int = 1, busy: float = 0.2) -> list[Measure]:
    return [
        Measure(load=load, target=target, turn=turn, value=number, unit="u", generator_cpu=busy)
        for load, targets in value.items()
        for target, number in targets.items()
    ]


def written(found: Found, left_out: dict[str, str] | None = None) -> str:
    versions = {"gochat": "1", "nats": "2.9", "socketio-node": "4.8"}
    return page("now", {"cpu": "x"}, versions, PEERS, left_out or {}, found, Options(Length(3.0)))


def test_the_page_says_what_holds_and_what_does_not() -> None:
    found = Found(
        figures({FANOUT: {"gochat": 300, "nats": 100, "socketio-node": 20}, SINGLE: {"gochat": 5, "socketio-node": 5}}),
        {},
    )
    text = written(found)
    assert "| fanout | nats | >= 2 | 3.00 | holds |" in text
    assert "| fanout | socketio-node | >= 20 | 15 | DOES NOT HOLD |" in text
    assert "| fanout-1 | socketio-node | <= 1 | 1.00 | holds |" in text
    assert "| dm W=16 | ejabberd | >= 3 |  | not measured |" in text
    assert "| nats | 2.9 | 100 (0.00 us) | no figure | no figure | no figure |" in text
    assert "Left out" not in text


def test_pairs_with_lists_have_a_row_of_their_own_and_stand_by_the_peers_pairs() -> None:
    measures = figures({DM_1: {"gochat": 20, "nats": 10}, LISTS[DM_1]: {"gochat": 15}, FANOUT: {"gochat": 7}})
    text = written(Found(measures, {}))
    assert "| gochat | 1 | 7.00 (0.00 us) | no figure | 20.0 (0.00 us) | no figure |" in text
    assert "| gochat, lists | 1 |  |  | 15.0 (0.00 us) | no figure |" in text
    assert "| nats |  |  | 2.00 |  | 1.50 |  |" in text
    assert ratio_to(measures, LISTS[DM_16], "nats") is None


def test_the_page_names_what_was_left_out_and_what_failed() -> None:
    text = written(Found([], {"nats": "u0001: closed\nthe log"}), {"prosody": "prosody is not installed"})
    assert "- prosody: prosody is not installed.\n- nats: no figure: u0001: closed.\n" in text


def test_a_load_that_was_busy_makes_a_bound_of_a_figure() -> None:
    text = written(Found(figures({FANOUT: {"nats": 100}, SINGLE: {"nats": 2}}, busy=0.95), {}))
    assert "at least 100 (" in text
    assert "at most 2.00 (" in text


def test_a_ratio_is_the_median_over_turns() -> None:
    measures = [
        figure
        for turn, mine in enumerate((10, 90, 20), 1)
        for figure in figures({FANOUT: {"gochat": mine, "nats": 10}}, turn)
    ]
    assert ratio_to(measures, FANOUT, "nats") == 2.0


def test_the_ratio_of_cpu_time_is_how_often_the_peer_takes_what_gochat_takes() -> None:
    spent = {"gochat": 20.0, "nats": 50.0}
    measures = [
        Measure(load=FANOUT, target=target, turn=1, value=1, unit="u", server_cpu_us_per_message=us)
        for target, us in spent.items()
    ]
    assert cpu_ratio_to(measures, FANOUT, "nats") == 2.5


def test_nothing_in_a_body_is_read_as_a_word_in_disguise() -> None:
    """A text that gochat's rules must read letter by letter costs gochat time that it costs no peer."""
    number, mark, rest = body(7).partition(MARK)
    assert (number, mark.strip(b" ="), rest[:4]) == (b"00000007", b"bench", b"The ")
    assert mark[:1] == mark[-1:] == b" "


def test_the_page_says_that_the_machine_was_busy() -> None:
    versions = {"gochat": "1"}
    pages = [
        page("now", {"load_average": load}, versions, PEERS, {}, Found([], {}), Options(Length(3.0)))
        for load in (0.4, 3.9)
    ]
    assert ["Only indicative" in text for text in pages] == [False, True]


def test_what_is_wanted_is_of_loads_and_peers_that_there_are() -> None:
    assert {bound.load for bound in BOUNDS} == set(LOADS)
    assert {bound.against for bound in BOUNDS} <= PEERS.keys()


def test_the_command_explains_itself_and_refuses_what_it_does_not_know() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    assert "python -m bench.peers nats socketio-node" in told.output
    assert CliRunner().invoke(main, ["nonesuch"]).exit_code == 2


def test_peers_that_are_missing_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name, peer in PEERS.items():
        assert (reason := peer.missing()) is None or re.search(r"Debian|PyPI|npm", reason), name
