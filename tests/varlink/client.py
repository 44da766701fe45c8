#!/usr/bin/env python3
"""Drives a running daemon with Python's `varlink` package: client.py SOCKET

Nothing here knows the daemon but through the interface that the daemon itself describes. Ends with 0 and
"all good", or with the first thing that was not as described.
"""

import base64
import os
import signal
import socket
import sys
import tempfile

import varlink

INTERFACE = "io.twolane.Scheduler"
# No answer takes this long; a hang ends as an error instead of holding up the test.
PATIENCE_SECONDS = 60


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def refusal(call, *args, **kwargs):
    """The error that a call is answered with."""
    try:
        reply = call(*args, **kwargs)
        if kwargs.get("_more"):
            reply = list(reply)
    except varlink.VarlinkError as error:
        return error
    raise SystemExit(f"FAILED: expected an error, got {reply}")


def ids(*jobs):
    return {"ids": [{"first": job, "last": job} for job in jobs]}


def submit(scheduler, *argv, **fields):
    reply = scheduler.Submit(
        jobs=[{"kind": "command", "argv": list(argv), **fields}],
        context={"cwd": "/", "env": {"PATH": os.environ["PATH"]}},
    )
    check(reply["first"] == reply["last"], f"one job has one id: {reply}")
    return reply["first"]


def finished(scheduler, job):
    reply = scheduler.Wait(jobs=ids(job))
    check(reply["remaining"] == 0, f"nothing remains after a wait: {reply}")
    check([one["id"] for one in reply["finished"]] == [job], f"the job waited for: {reply}")
    return reply["finished"][0]


def introspects(client):
    with client.open("org.varlink.service") as service:
        info = service.GetInfo()
        check(INTERFACE in info["interfaces"], f"the interface is announced: {info}")
        check(all(info[name] for name in ("vendor", "product", "version", "url")), f"who it is: {info}")
        described = service.GetInterfaceDescription(interface=INTERFACE)["description"]
        check(f"interface {INTERFACE}" in described, "the interface is described")
        unknown = refusal(service.GetInterfaceDescription, interface="io.example.Unknown")
        check(isinstance(unknown, varlink.InterfaceNotFound), f"an unknown interface: {unknown}")


def submits_waits_and_reads(scheduler):
    job = submit(scheduler, "echo", "hello", name="greeting")
    ended = finished(scheduler, job)
    check((ended["state"], ended["exit_code"]) == ("succeeded", 0), f"how it ended: {ended}")
    shown = scheduler.Show(id=job)["job"]
    check((shown["name"], shown["kind"]) == ("greeting", "command"), f"what is shown: {shown}")
    check(len(shown["attempts"]) == 1, f"one attempt: {shown}")
    replies = list(scheduler.Logs(id=job, stream="out", _more=True))
    text = b"".join(base64.b64decode(reply["data"]) for reply in replies)
    check(text == b"hello\n", f"its output: {text!r}")
    check(replies[-1]["finished"]["id"] == job, f"the last reply tells the end: {replies[-1]}")


def follows_a_log_while_it_grows(client, scheduler):
    """The job goes on only after its first line has been read through the log."""
    with tempfile.TemporaryDirectory() as folder, client.open(INTERFACE) as stream:
        gate = os.path.join(folder, "gate")
        os.mkfifo(gate)
        job = submit(scheduler, "sh", "-c", f"echo begun; cat {gate} >&2; echo done; exit 3")
        text = b""
        for reply in stream.Logs(id=job, stream="out", follow=True, _more=True):
            text += base64.b64decode(reply["data"])
            if text == b"begun\n" and gate:
                with open(gate, "w") as opened:
                    opened.write("go\n")
                gate = None
            last = reply
        check(text == b"begun\ndone\n", f"the followed output: {text!r}")
        check(last["finished"]["exit_code"] == 3, f"the last reply tells the end: {last}")


def cancels(scheduler):
    reply = scheduler.Submit(jobs=[{"kind": "sleep", "params": {"for": "1h"}}])
    job = reply["first"]
    changed = scheduler.Cancel(jobs=ids(job), reason="enough")
    check((changed["changed"], changed["declined"]) == ([job], []), f"what changed: {changed}")
    ended = finished(scheduler, job)
    check((ended["state"], ended["exit_code"]) == ("cancelled", 123), f"how it ended: {ended}")
    again = scheduler.Cancel(jobs=ids(job))
    check(again["declined"][0]["id"] == job, f"a final job can't be cancelled: {again}")


def keeps_schedules(scheduler):
    job = {"kind": "sleep", "params": {"for": "0s"}, "name": "nightly"}
    made = scheduler.AddSchedule(job=job, every="0 3 * * *", zone="UTC", overlap="queue")["schedule"]
    check((made["name"], len(made["next"])) == ("nightly", 5), f"what was made: {made}")
    check(all("T03:00:00" in moment for moment in made["next"]), f"when it runs: {made}")
    scheduler.PauseSchedule(schedule="nightly", reason="enough")
    listed = scheduler.Schedules()["schedules"]
    check([(one["paused"], one["reason"]) for one in listed] == [(True, "enough")], f"a list: {listed}")
    scheduler.RemoveSchedule(schedule="nightly")
    error = refusal(scheduler.ShowSchedule, schedule="nightly")
    check(error.error() == f"{INTERFACE}.NoSuchSchedule", f"it has gone: {error}")


def errors_have_their_fields(scheduler):
    error = refusal(scheduler.Show, id=999_999_999)
    check(error.error() == f"{INTERFACE}.NoSuchJob", f"an unknown job: {error}")
    check(error.parameters()["id"] == 999_999_999, f"the error names the job: {error}")
    check(error.parameters()["message"], f"the error speaks to people: {error}")
    error = refusal(scheduler.Submit, jobs=[{"kind": "knit"}])
    check(error.error() == f"{INTERFACE}.UnknownKind", f"an unknown kind: {error}")
    check(error.parameters()["kind"] == "knit", f"the error names the kind: {error}")
    error = refusal(scheduler.Watch)
    check(error.error() == "org.varlink.service.ExpectedMore", f"a stream without more: {error}")


def main():
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    signal.alarm(2 * PATIENCE_SECONDS)
    with varlink.Client.new_with_address(f"unix:{sys.argv[1]}") as client:
        introspects(client)
        with client.open(INTERFACE) as scheduler:
            submits_waits_and_reads(scheduler)
            follows_a_log_while_it_grows(client, scheduler)
            cancels(scheduler)
            keeps_schedules(scheduler)
            errors_have_their_fields(scheduler)
    print("all good")


if __name__ == "__main__":
    main()
