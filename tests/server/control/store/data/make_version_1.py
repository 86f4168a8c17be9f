"""Writes a store as a stockpotd of schema 1 left it: the tables of that version (schema.cc's kVersion1, read from there)
with the rows of a real store, without the columns that came later.

    python3 tests/server/control/store/data/make_version_1.py DATA_FOLDER/stockpot.db > tests/server/control/store/data/version_1.sql

version_1.sql is of a real stockpotd that was killed: jobs/ended has succeeded, jobs/running has not ended.
"""

import re
import sqlite3
import sys

schema = open("server/control/store/sqlite/schema.cc").read()
version_1 = re.search(r'kVersion1 = R"sql\((.*?)\)sql"', schema, re.S).group(1)
old = sqlite3.connect(":memory:")
old.executescript(version_1)
new = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
old.execute("DELETE FROM fences")
for table in ("jobs", "events", "tasks", "facts", "fences"):
    columns = ", ".join(row[1] for row in old.execute(f"PRAGMA table_info({table})"))
    for row in new.execute(f"SELECT {columns} FROM {table}"):
        marks = ", ".join("?" * len(row))
        old.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", row)
old.commit()
for line in old.iterdump():
    print(line)
print("PRAGMA user_version = 1;")
