"""Talking to daemons over sockets without their command lines: Varlink, and beanstalkd's protocol.

Messages are encoded before the clock starts, and many clients are one loop of this process: what is
measured is the daemon.
"""

import json
import selectors
import socket
import time

INTERFACE = "io.twolane.Scheduler"
# No answer takes this long; a hang ends as an error.
PATIENCE_SECONDS = 600


def message(method, more=False, **parameters):
    """A call as bytes."""
    call = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
    if more:
        call["more"] = True
    return json.dumps(call, separators=(",", ":")).encode() + b"\0"


def jobs_message(jobs, **parameters):
    """One Submit of so many jobs."""
    return message("Submit", jobs=jobs, **parameters)


class Refused(RuntimeError):
    """The daemon answered with an error."""


class Connection:
    """One connection to a daemon; answers come in the order of the calls."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(str(path))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The next answer's bytes, without the NUL."""
        while b"\0" not in self.rest:
            more = self.socket.recv(1 << 18)
            if not more:
                raise ConnectionError("the daemon closed the connection")
            self.rest += more
        found, self.rest = self.rest.split(b"\0", 1)
        return found

    def reply(self):
        """The next answer, parsed."""
        answer = json.loads(self.answer())
        if "error" in answer:
            raise Refused(f"{answer['error']}: {answer.get('parameters')}")
        return answer["parameters"]

    def call(self, method, **parameters):
        self.send(message(method, **parameters))
        return self.reply()

    def timed(self, data):
        """Seconds until a call is answered."""
        start = time.perf_counter()
        self.send(data)
        self.answer()
        return time.perf_counter() - start


def all_of(first, last):
    """A selector of the jobs of one submission."""
    return {"ids": [{"first": first, "last": last}]}


class Chatter:
    """Many clients at once, each sending its next call when the last one is answered."""

    def __init__(self, connect, clients):
        self.sockets = [connect() for _ in range(clients)]
        self.selector = selectors.EpollSelector()
        for each in self.sockets:
            self.selector.register(each, selectors.EVENT_READ)

    def close(self):
        self.selector.close()
        for each in self.sockets:
            each.close()

    def run(self, call, end, good, calls):
        """Seconds for so many calls of all together; an answer begins with `good` and ends with
        `end`, or is an error."""
        rests = {each: b"" for each in self.sockets}
        started = answered = 0
        start = time.perf_counter()
        for each in self.sockets[:calls]:
            each.sendall(call)
            started += 1
        while answered < calls:
            for key, _ in self.selector.select():
                each = key.fileobj
                rest = rests[each] + each.recv(65536)
                if not rest.endswith(end):
                    rests[each] = rest
                    continue
                if not rest.startswith(good):
                    raise Refused(rest.decode(errors="replace"))
                rests[each] = b""
                answered += 1
                if started < calls:
                    each.sendall(call)
                    started += 1
        return time.perf_counter() - start


def put(body, priority=0):
    """beanstalkd's submit."""
    return b"put %d 0 600 %d\r\n%s\r\n" % (priority, len(body), body)


def pipelined_puts(port, body, count):
    """Seconds until so many puts over one connection, a thousand ahead, are answered."""
    ahead = 1000
    with socket.create_connection(("127.0.0.1", port)) as each:
        each.settimeout(PATIENCE_SECONDS)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call = put(body)
        start = time.perf_counter()
        for done in range(0, count, ahead):
            many = min(ahead, count - done)
            each.sendall(call * many)
            answers = 0
            while answers < many:
                answers += each.recv(65536).count(b"\r\n")
        return time.perf_counter() - start
