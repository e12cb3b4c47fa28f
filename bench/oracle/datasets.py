#!/usr/bin/env python3
"""Turns a public conversation set (shared/data/README.md) into events of the contract:

    datasets.py FILE.jsonl.gz [--times SEED] [--shuffle SEED] > EVENTS.jsonl

--times makes times for sets that carry none: a start anywhere in March 2024, gaps of seconds to an
hour, a close after half of the conversations and a customer who comes back after some of those.
--shuffle lets events of a conversation arrive up to 8 places late and sends some twice.
"""
import argparse, datetime, gzip, json, random, sys


def ms(ts):
    at = datetime.datetime.strptime(ts, "%Y-%m-%dT%H:%M:%SZ")
    return (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)


def conversations(name):
    out = {}
    with gzip.open(name, "rt", encoding="utf-8") as f:
        for line in f:
            e = json.loads(line)
            if e["event"] == "message":
                out.setdefault(e["conversation_id"], []).append(e)
    return out


def event(e, at, seq):
    return {"v": 1, "id": f"{e['conversation_id']}/{seq}", "type": "message", "time": at, "seq": seq,
            "conversation_id": e["conversation_id"], "channel": e["channel"], "lang": e["lang"],
            "actor": {"kind": e["role"], "id": e["sender"]}, "message": {"text": e["text"]}}


def with_times(lines, r):
    at, out, seq = 1_709_251_200_000 + r.randrange(30 * 86_400_000), [], 0
    closes = r.random() < 0.5
    comes_back = closes and r.random() < 0.3
    middle = r.randrange(1, len(lines)) if comes_back and len(lines) > 2 else None

    def close():
        return {"v": 1, "id": f"{lines[0]['conversation_id']}/close{seq}", "type": "close", "time": at,
                "seq": seq, "conversation_id": lines[0]["conversation_id"], "actor": {"kind": "system"}}

    for i, e in enumerate(lines):
        if i == middle:
            out.append(close())
            seq += 1
            at += r.choice([3_600_000, 86_400_000, 3 * 86_400_000, 10 * 86_400_000])
        out.append(event(e, at, seq))
        seq += 1
        at += r.choice([1_000, 20_000, 90_000, 400_000, 3_600_000]) + r.randrange(1_000)
    if closes:
        out.append(close())
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--times", type=int)
    p.add_argument("--shuffle", type=int)
    a = p.parse_args()
    made = random.Random(a.times)
    shuffled = random.Random(a.shuffle)
    for lines in conversations(a.file).values():
        if a.times is None:
            events = [event(e, ms(e["ts"]), e["seq"]) for e in lines]
        else:
            events = with_times(lines, made)
        if a.shuffle is not None:
            late = [(i + (shuffled.randrange(9) if shuffled.random() < 0.1 else 0), e)
                    for i, e in enumerate(events)]
            events = [e for _, e in sorted(late, key=lambda x: x[0])]
            events = [x for e in events for x in ([e, e] if shuffled.random() < 0.02 else [e])]
        for e in events:
            sys.stdout.write(json.dumps(e, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
