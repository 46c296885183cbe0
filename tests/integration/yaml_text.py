"""Dicts as YAML: JSON is YAML, so the standard library is enough."""
import json


def dump(config):
    return json.dumps(config, indent=1) + "\n"
