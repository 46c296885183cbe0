#!/usr/bin/env python3
"""The handler that ../conformance.py knows, on stint.py; raising: what waits is interrupted."""
import sys
import time

import stint


def wait(ctx, _rest):
    ctx.progress(1, "waiting")
    while not ctx.cancelled:
        time.sleep(3600 if "raising" in sys.argv else 0.001)
    return "cancelled"


def error(_ctx, rest):
    raise ValueError(rest.decode())


def fail(_ctx, rest):
    raise stint.Fail(rest.decode())


def context(ctx, _rest):
    colour = ctx.fields.get("x-colour", "none")
    return f"{ctx.id} {ctx.attempt} {ctx.remaining() * 1000} {ctx.deadline_ms} {colour}"


ORDERS = {
    b"echo": lambda ctx, rest: rest,
    b"error": error,
    b"fail": fail,
    b"wait": wait,
    b"progress": lambda ctx, rest: ctx.progress(50, "half way"),
    b"context": context,
    b"print": lambda ctx, rest: print(rest.decode()),
    b"big": lambda ctx, rest: b"x" * int(rest),
}


def handle(ctx, payload):
    order, _, rest = payload.partition(b" ")
    return ORDERS[order](ctx, rest)


stint.run(handle, raise_on_cancel="raising" in sys.argv)
