"""The tables of the one database file, as numbered steps that are only ever added to.

Integers carry exact meaning: times are milliseconds UTC, money is cents or millionths of a dollar, never floats.
Big text stands last in a row so that counting never reads it. `PRAGMA user_version` repeats the number of steps
applied, so the usual start needs neither sqlite-utils nor a second query to know that nothing is pending.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

# "RSNG": tells our file from anybody else's SQLite database.
APPLICATION_ID = 0x52534E47

_LEDGER = """
CREATE TABLE about(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE deployments(
  key TEXT PRIMARY KEY,
  model_type TEXT CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  model_name TEXT NOT NULL,
  model_id TEXT,
  endpoint_name TEXT NOT NULL,
  endpoint_id TEXT,
  deployment_name TEXT NOT NULL,
  deployment_id TEXT,
  serving_name TEXT,
  project_id TEXT,
  hardware TEXT,
  price_cents_per_hour INTEGER,
  config TEXT,
  idle_minutes INTEGER NOT NULL,
  min_replicas INTEGER NOT NULL,
  max_replicas INTEGER NOT NULL,
  state TEXT NOT NULL,
  ready_replicas INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state_at INTEGER NOT NULL,
  deleted_at INTEGER,
  last_error TEXT
) WITHOUT ROWID;
CREATE INDEX deployments_vendor_id ON deployments(deployment_id);

CREATE TABLE slots(
  model_type TEXT PRIMARY KEY CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  deployment_key TEXT REFERENCES deployments(key),
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE readings(
  seq INTEGER PRIMARY KEY,
  deployment_key TEXT NOT NULL REFERENCES deployments(key),
  at INTEGER NOT NULL,
  ready_replicas INTEGER NOT NULL,
  price_cents_per_hour INTEGER NOT NULL,
  state TEXT NOT NULL,
  known_by TEXT NOT NULL CHECK(known_by IN ('polled', 'event', 'inferred', 'billing')),
  UNIQUE(deployment_key, at, known_by, ready_replicas)
);
CREATE INDEX readings_time ON readings(at);

CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX events_time ON events(at);
"""

_TRAINING_LOG = """
CREATE TABLE samples(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  agent_id TEXT,
  agent_name TEXT,
  room_id TEXT,
  run_id TEXT,
  entity_id TEXT,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  model TEXT NOT NULL,
  provider TEXT,
  source TEXT NOT NULL,
  origin TEXT NOT NULL,
  decision TEXT,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  latency_ms INTEGER,
  cost_micros INTEGER,
  label TEXT,
  feedback TEXT,
  prompt_hash BLOB NOT NULL,
  shape_hash BLOB NOT NULL,
  prompt_chars INTEGER NOT NULL,
  output_chars INTEGER NOT NULL,
  metadata TEXT,
  system TEXT,
  output TEXT NOT NULL,
  prompt TEXT NOT NULL
);
CREATE UNIQUE INDEX samples_id ON samples(id);
CREATE INDEX samples_time ON samples(created_at);
CREATE INDEX samples_type_time ON samples(
  model_type, created_at, source, cost_micros, prompt_tokens, completion_tokens, prompt_chars, output_chars, agent_id);
CREATE INDEX samples_decision ON samples(model_type, decision);
CREATE INDEX samples_prompt ON samples(model_type, prompt_hash);
CREATE INDEX samples_shape ON samples(model_type, shape_hash);
CREATE INDEX samples_label ON samples(label, created_at) WHERE label IS NOT NULL;
"""

_DOUBTS = """
ALTER TABLE readings ADD COLUMN least_replicas INTEGER;
ALTER TABLE readings ADD COLUMN most_replicas INTEGER;
ALTER TABLE readings ADD COLUMN price_seen INTEGER NOT NULL DEFAULT 1;
UPDATE readings SET price_seen = 0 WHERE known_by = 'event';
"""

_REPLACEMENTS = """
CREATE TABLE replacements(
  number INTEGER PRIMARY KEY,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  old_key TEXT NOT NULL REFERENCES deployments(key),
  new_key TEXT NOT NULL REFERENCES deployments(key),
  percent INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER
);
"""

_LABELS = """
ALTER TABLE samples ADD COLUMN confidence REAL;
ALTER TABLE samples ADD COLUMN corrected TEXT;

CREATE TABLE labels(
  number INTEGER PRIMARY KEY,
  sample_seq INTEGER NOT NULL REFERENCES samples(seq) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  label TEXT,
  answer TEXT,
  was_label TEXT,
  was_answer TEXT
);
CREATE INDEX labels_sample ON labels(sample_seq);
"""

# What an export holds is kept as the packed numbers of its samples, so that it is known where a sample went.
_COMINGS_AND_GOINGS = """
CREATE TABLE imports(
  source TEXT PRIMARY KEY,
  position TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE exports(
  number INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  manifest TEXT NOT NULL,
  samples BLOB NOT NULL
);
"""

_RIDERS = """
ALTER TABLE deployments ADD COLUMN rides_on TEXT REFERENCES deployments(key);
ALTER TABLE deployments ADD COLUMN adapter_id TEXT;
"""

# What a slot's model said beside the answer the agent got: in its shadow, or before the original was asked.
_ATTEMPTS = """
CREATE TABLE attempts(
  number INTEGER PRIMARY KEY,
  sample_id TEXT NOT NULL REFERENCES samples(id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  mode TEXT NOT NULL CHECK(mode IN ('live', 'canary', 'shadow')),
  model TEXT NOT NULL,
  deployment_key TEXT,
  decision TEXT,
  agrees INTEGER,
  failure TEXT,
  confidence REAL,
  latency_ms INTEGER NOT NULL,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  output TEXT NOT NULL
);
CREATE INDEX attempts_sample ON attempts(sample_id);
CREATE INDEX attempts_type_time ON attempts(model_type, at);
"""

# Statistics group by agent and source, and by label; in the order of an index that takes no sorting. The agent then
# has no place in the index by time, which is why that one is made anew.
_FIGURES = """
DROP INDEX samples_type_time;
CREATE INDEX samples_type_time ON samples(
  model_type, created_at, source, cost_micros, prompt_tokens, completion_tokens, prompt_chars, output_chars);
CREATE INDEX samples_agent ON samples(model_type, agent_id, source);
CREATE INDEX samples_labelled ON samples(model_type, label) WHERE label IS NOT NULL;
"""

# A page of a listing is read in the order of an index, whatever it is filtered by. Of ids and names the first eight
# characters tell enough apart, at a quarter of the space.
_LOOKING = """
DROP INDEX samples_decision;
CREATE INDEX samples_decision ON samples(model_type, decision, created_at);
CREATE INDEX samples_source_time ON samples(source, created_at);
CREATE INDEX samples_room_time ON samples(substr(room_id, 1, 8), created_at);
CREATE INDEX samples_agent_time ON samples(substr(agent_id, 1, 8), created_at);
CREATE INDEX samples_name_time ON samples(substr(agent_name, 1, 8), created_at);
ALTER TABLE labels ADD COLUMN note TEXT;
ALTER TABLE labels ADD COLUMN undoes INTEGER;
CREATE TABLE reviews(
  name TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  samples TEXT NOT NULL
) WITHOUT ROWID;
"""

_JOBS = """
CREATE TABLE fine_tunes(
  id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  model_type TEXT CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  name TEXT NOT NULL,
  model TEXT,
  status TEXT NOT NULL,
  cost_nano_dollars INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX fine_tunes_time ON fine_tunes(created_at);
"""

# Exports know samples by their numbers; a number that was the highest when it went must not come again.
_NUMBERS = """
CREATE TRIGGER samples_last AFTER DELETE ON samples WHEN old.seq > coalesce((SELECT max(seq) FROM samples), 0)
BEGIN INSERT INTO about(name, value) VALUES ('last_seq', old.seq) ON CONFLICT(name)
  DO UPDATE SET value = max(CAST(value AS INTEGER), old.seq); END;
"""

# One run of a type at a time; how far it has come is what a run that was killed goes on from.
_TRAINING_RUNS = """
CREATE TABLE training_runs(
  number INTEGER PRIMARY KEY,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER,
  seen_at INTEGER,
  stage TEXT NOT NULL,
  base TEXT NOT NULL,
  method TEXT NOT NULL,
  manifest TEXT,
  manifest_sha256 TEXT,
  train_sha256 TEXT,
  validation_sha256 TEXT,
  training_file_id TEXT,
  validation_file_id TEXT,
  suffix TEXT,
  job_id TEXT,
  job_status TEXT,
  model_id TEXT,
  model_name TEXT,
  adapter_id TEXT,
  adapter_name TEXT,
  problem TEXT,
  plan TEXT NOT NULL
);
CREATE UNIQUE INDEX training_runs_going ON training_runs(model_type) WHERE finished_at IS NULL;
CREATE INDEX exports_sha256 ON exports(sha256);
"""

# Answers belong to samples, or to lines of a file, which have a number too and no sample.
_EVALUATIONS = """
CREATE TABLE evaluations(
  number INTEGER PRIMARY KEY,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  arguments TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  fingerprint TEXT NOT NULL,
  plan TEXT NOT NULL,
  report TEXT,
  items BLOB NOT NULL
);
CREATE UNIQUE INDEX evaluations_going ON evaluations(arguments) WHERE finished_at IS NULL;

CREATE TABLE evaluation_models(
  evaluation INTEGER NOT NULL REFERENCES evaluations(number) ON DELETE CASCADE,
  place INTEGER NOT NULL,
  name TEXT NOT NULL,
  identity TEXT NOT NULL,
  PRIMARY KEY(evaluation, place)
) WITHOUT ROWID;
CREATE INDEX evaluation_models_identity ON evaluation_models(identity);

CREATE TABLE evaluation_answers(
  number INTEGER PRIMARY KEY,
  evaluation INTEGER NOT NULL REFERENCES evaluations(number) ON DELETE CASCADE,
  place INTEGER NOT NULL,
  item INTEGER NOT NULL,
  sample_seq INTEGER REFERENCES samples(seq) ON DELETE CASCADE,
  differs INTEGER,
  latency_ms INTEGER,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  cost_micros INTEGER,
  failure TEXT,
  scores TEXT NOT NULL,
  output TEXT NOT NULL,
  UNIQUE(evaluation, item, place)
);
CREATE INDEX evaluation_answers_sample ON evaluation_answers(sample_seq) WHERE sample_seq IS NOT NULL;
"""

# How far each model has come into its slot. Of each type one at a time is on its way.
_PROMOTIONS = """
CREATE TABLE promotions(
  number INTEGER PRIMARY KEY,
  model_type TEXT NOT NULL CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER,
  stage TEXT NOT NULL,
  model TEXT NOT NULL,
  by TEXT NOT NULL,
  plan TEXT NOT NULL DEFAULT '{}',
  before TEXT NOT NULL DEFAULT '{}',
  gate TEXT NOT NULL DEFAULT '[]',
  model_key TEXT REFERENCES deployments(key),
  old_key TEXT REFERENCES deployments(key),
  run INTEGER,
  evaluation INTEGER,
  forced_by TEXT,
  step INTEGER NOT NULL DEFAULT 0,
  step_at INTEGER,
  rolled_back_at INTEGER,
  why TEXT
);
CREATE UNIQUE INDEX promotions_going ON promotions(model_type) WHERE finished_at IS NULL;
"""

# What trains itself, and how far its round has come: whoever looks next goes on from there.
_LOOPS = """
CREATE TABLE loops(
  model_type TEXT PRIMARY KEY CHECK(model_type IN ('should_respond', 'planning', 'coding')),
  created_at INTEGER NOT NULL,
  by TEXT NOT NULL,
  every_seconds INTEGER NOT NULL,
  min_new INTEGER NOT NULL,
  counted TEXT NOT NULL,
  max_cost_cents INTEGER NOT NULL,
  unattended INTEGER NOT NULL,
  step TEXT NOT NULL,
  line TEXT NOT NULL,
  line_at INTEGER NOT NULL,
  told INTEGER NOT NULL,
  begun_at INTEGER,
  ended_at INTEGER,
  seen_seq INTEGER NOT NULL DEFAULT 0,
  run INTEGER,
  evaluation INTEGER,
  candidate_key TEXT,
  outcome TEXT
) WITHOUT ROWID;
"""

# What was deleted on request: keyed hashes of ids and prompts, so that it is known again and says nothing.
_FORGOTTEN = """
CREATE TABLE forgotten(
  hash BLOB PRIMARY KEY,
  at INTEGER NOT NULL
) WITHOUT ROWID;
"""

# `cut`: what the end of an answer was called that the model did not come to by itself. `conversation`: of a coding
# sample the messages before its answer and the tools, as JSON. Cached tokens are part of the prompt's.
_ENDS_AND_TURNS = """
ALTER TABLE samples ADD COLUMN cut TEXT;
ALTER TABLE samples ADD COLUMN cached_tokens INTEGER;
ALTER TABLE samples ADD COLUMN conversation TEXT;
"""

# Bills are counted from this index alone: the column stands behind the texts of its row.
_CACHED = """
CREATE INDEX samples_cached ON samples(created_at, model_type, source, model, cached_tokens) WHERE cached_tokens > 0;
"""

# What was found out about the service at the first live contact, and what probes measured, as JSON.
_SERVICE_FACTS = """
CREATE TABLE service_facts(
  name TEXT PRIMARY KEY,
  holds INTEGER NOT NULL,
  value TEXT NOT NULL,
  why TEXT NOT NULL,
  at INTEGER NOT NULL,
  version TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE service_probes(
  number INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  version TEXT NOT NULL,
  measured TEXT NOT NULL
);
"""

# An agent asks some prompts often, and a recorded call is looked for among those of ten minutes.
_SAME_PROMPT = """
DROP INDEX samples_prompt;
CREATE INDEX samples_prompt ON samples(model_type, prompt_hash, created_at);
"""

# Whom the agent's messages answered (JSON), who spoke before, how many messages in a row it is about, and how many
# people are there. The index finds what was stored before anybody looked.
_ADDRESSING = """
ALTER TABLE samples ADD COLUMN reply_targets TEXT;
ALTER TABLE samples ADD COLUMN spoke_before TEXT;
ALTER TABLE samples ADD COLUMN burst INTEGER;
ALTER TABLE samples ADD COLUMN people INTEGER;
CREATE INDEX samples_unaddressed ON samples(created_at) WHERE model_type = 'should_respond' AND burst IS NULL;
"""

# `why`: what in the message a head decided by; `named`: whether the message names somebody. A head is audited from
# `since` on, and answers nothing after `out_at`.
_HEADS = """
ALTER TABLE attempts ADD COLUMN why TEXT;
ALTER TABLE attempts ADD COLUMN named INTEGER;
CREATE TABLE heads_in_line(
  model TEXT PRIMARY KEY,
  since INTEGER NOT NULL,
  out_at INTEGER,
  why TEXT
) WITHOUT ROWID;
"""

# The gateways and guards of a store that several hosts share; `facts` is JSON. Times are of the store's own clock.
_INSTANCES = """
CREATE TABLE instances(
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK(kind IN ('gateway', 'guard')),
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  every_ms INTEGER NOT NULL,
  facts TEXT NOT NULL
) WITHOUT ROWID;
"""

# What is promised to requests under way: `until` by the clock of the store, `seen_at` by the service's.
_RESERVATIONS = """
CREATE TABLE reservations(
  key TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  model_type TEXT,
  cents_per_hour INTEGER NOT NULL,
  cents INTEGER NOT NULL,
  seen_at INTEGER,
  until INTEGER NOT NULL
) WITHOUT ROWID;
"""

# The bound of a loop that learns heads, a share; NULL for one that trains at Together.
_HEAD_LOOPS = "ALTER TABLE loops ADD COLUMN max_error REAL;\n"

_OWN_IDLE = "ALTER TABLE deployments ADD COLUMN own_idle_minutes INTEGER;\n"

STEPS: tuple[tuple[str, str], ...] = (
    ("deployments, ledger and events", _LEDGER),
    ("training log", _TRAINING_LOG),
    ("what is not known between two readings", _DOUBTS),
    ("which deployment takes the place of which", _REPLACEMENTS),
    ("which replacement is the way back", "ALTER TABLE replacements ADD COLUMN is_rollback INTEGER NOT NULL DEFAULT 0"),
    ("what people said of a sample", _LABELS),
    ("where samples came from and went", _COMINGS_AND_GOINGS),
    ("adapters that ride on deployments", _RIDERS),
    ("what our models said beside the original", _ATTEMPTS),
    ("indexes that statistics read", _FIGURES),
    ("indexes that listings read, notes and samples of reviews", _LOOKING),
    ("what fine-tuning jobs cost", _JOBS),
    ("numbers of samples that do not come again", _NUMBERS),
    ("training runs", _TRAINING_RUNS),
    ("what models answered when they were evaluated", _EVALUATIONS),
    ("how models came into their slots", _PROMOTIONS),
    ("what trains itself", _LOOPS),
    ("what was forgotten on request", _FORGOTTEN),
    ("how answers end, and what stands before them", _ENDS_AND_TURNS),
    ("an index of what providers had cached", _CACHED),
    ("what the service was found to do", _SERVICE_FACTS),
    ("an index of the same prompt by time", _SAME_PROMPT),
    ("whom a message may be meant for", _ADDRESSING),
    ("heads in line", _HEADS),
    ("gateways and guards at work", _INSTANCES),
    ("what is reserved", _RESERVATIONS),
    ("loops that learn heads", _HEAD_LOOPS),
    ("idle minutes of a deployment's own", _OWN_IDLE),
)
VERSION = len(STEPS)

# The search index, made when it is first asked for and no step of its own: see `search`.
SEARCH = tuple(
    re.split(
        r";\n(?=CREATE|INSERT INTO samples_unread SELECT)",
        """\
CREATE VIRTUAL TABLE samples_words USING fts5(message, answer, tokenize="unicode61 remove_diacritics 2");
CREATE TABLE samples_unread(seq INTEGER PRIMARY KEY, version INTEGER NOT NULL);
INSERT INTO samples_unread SELECT seq, 0 FROM samples;
CREATE TRIGGER samples_added AFTER INSERT ON samples BEGIN
  INSERT INTO samples_unread VALUES (new.seq, random());
END;
CREATE TRIGGER samples_gone AFTER DELETE ON samples BEGIN
  DELETE FROM samples_words WHERE rowid = old.seq;
  DELETE FROM samples_unread WHERE seq = old.seq;
END;
CREATE TRIGGER samples_changed AFTER UPDATE OF prompt, output, corrected ON samples
WHEN old.prompt IS NOT new.prompt OR old.output IS NOT new.output OR old.corrected IS NOT new.corrected BEGIN
  DELETE FROM samples_words WHERE rowid = old.seq;
  DELETE FROM samples_unread WHERE seq = old.seq;
  INSERT INTO samples_unread VALUES (old.seq, random());
END""",
    )
)


def statements(script: str) -> Iterator[str]:
    """The statements of one step."""
    return (statement for statement in script.split(";\n") if statement.strip())


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the steps that are missing, all or none; the caller holds the start-up lock.

    sqlite-utils takes a tenth of a second to import, hence here and not at the top.
    """
    from sqlite_utils import Database, Migrations

    migrations = Migrations("reasoning")
    for number, (name, script) in enumerate(STEPS, start=1):

        def apply(database: Database, number: int = number, script: str = script) -> None:
            for statement in statements(script):
                database.conn.execute(statement)
            database.conn.execute(f"PRAGMA user_version={number}")

        migrations(name=f"{number:04} {name}")(apply)

    database = Database(connection, execute_plugins=False)
    # Immediate: a gateway that is already running may write at the same moment, and a transaction that starts by
    # reading could then not go on to write.
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(database)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
