"""A reader of server-sent events after the WHATWG's grammar, for bytes that come cut anywhere.

Shares nothing with the service and nothing with the clients. Source:
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A dispatched event."""

    data: str
    type: str = ""


class EventReader:
    """Fed with bytes, it yields events; what it has seen besides them is counted."""

    def __init__(self) -> None:
        # Strictly: an event stream is UTF-8, and a reader would put U+FFFD into the answer.
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._line: list[str] = []
        self._data: list[str] = []
        self._type = ""
        self._after_cr = False
        self._begun = False
        self.comments: list[str] = []
        self.other_fields: list[str] = []
        """Names of fields besides `data` and `event`."""

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[Event]:
        for character in self._decoder.decode(data, last):
            if not self._begun and character == "\ufeff":
                self._begun = True
                continue
            self._begun = True
            if character == "\n" and self._after_cr:
                self._after_cr = False
                continue
            self._after_cr = character == "\r"
            if character in "\r\n":
                yield from self._end_of_line()
            else:
                self._line.append(character)

    @property
    def unfinished(self) -> bool:
        """Whether something has come that no empty line has ended."""
        return bool(self._line or self._data or self._type)

    def _end_of_line(self) -> Iterator[Event]:
        line = "".join(self._line)
        self._line.clear()
        if not line:
            if self._data:
                yield Event("\n".join(self._data), self._type)
            self._data.clear()
            self._type = ""
        elif line.startswith(":"):
            self.comments.append(line[1:])
        else:
            self._field(*line.partition(":")[::2])

    def _field(self, name: str, value: str) -> None:
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        else:
            self.other_fields.append(name)


def read_events(pieces: Iterable[bytes]) -> list[Event]:
    """Read a whole stream that has nothing but comments and events of one `data:` line each."""
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.feed(b"", last=True)
    assert not reader.unfinished
    assert reader.other_fields == []
    assert all(event.type == "" and "\n" not in event.data for event in events)
    return events
