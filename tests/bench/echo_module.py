"""The process of warm.c in Python: an echo, written as the module's users write theirs."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "lib/sdk/python"))
import stint  # noqa: E402

stint.run(lambda ctx, payload: payload)
