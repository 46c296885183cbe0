"""Sees each result as soon as it is written, and keeps what it was then."""
import threading

import redis as redis_py

from cluster import QUEUE

RESULT = (QUEUE + "result:").encode()
BATCH = 200
WAIT_S = 0.05


class Watcher(threading.Thread):
    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.redis = cluster.redis
        self.seen = {}  # job id -> the result, as it was first seen
        self.is_stopped = False
        self.is_listening = threading.Event()

    def run(self):
        while not self.is_stopped:
            try:
                self._listen()
            except (redis_py.exceptions.RedisError, OSError, AttributeError):
                continue  # Redis was killed; those set meanwhile are found by the scan

    def _listen(self):
        client = self.redis.client()
        channel = client.pubsub()
        channel.subscribe("__keyevent@0__:set")
        self.is_listening.set()
        self._look(client, list(client.scan_iter(RESULT + b"*", count=1000)))
        keys = []
        while not self.is_stopped:
            message = channel.get_message(timeout=0 if keys else WAIT_S)
            if message and message["type"] == "message" and message["data"].startswith(RESULT):
                keys.append(message["data"])
            if keys and (len(keys) >= BATCH or not message):
                self._look(client, keys)
                keys = []
        client.close()

    def _look(self, client, keys):
        unseen = [key for key in keys if key[len(RESULT):].decode() not in self.seen]
        for key, value in zip(unseen, client.mget(unseen) if unseen else ()):
            if value is not None:
                self.seen.setdefault(key[len(RESULT):].decode(), value)
