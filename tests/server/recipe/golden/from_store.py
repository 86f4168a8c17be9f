"""The facts of one job of a stockpotd's store, in the order in which they were stored; see README.md. No torch."""

import json
import sqlite3
import sys

database, job = sys.argv[1:]
connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
spec, create_time = connection.execute("SELECT spec, create_time FROM jobs WHERE name = ?", (job,)).fetchone()
facts = []
for key, status, result in connection.execute(
    "SELECT key, status, result FROM facts WHERE job = ? ORDER BY rowid", (job,)
):
    fact = {"key": key}
    if result and result != "null":
        fact["result"] = json.loads(result)
    if status:
        fact["status"] = status
    facts.append(fact)
golden = {"facts": facts, "job": job, "scope": f"{job}@{create_time}", "spec": json.loads(spec)}
json.dump(golden, sys.stdout)
