// The model calls an ElizaOS agent logged in a PGlite folder, as JSON Lines:
//   node dump_pglite.mjs FOLDER > logs.jsonl
// The agent must be stopped, since one process at a time may use its folder. The library is looked for beside the
// folder, in the folders above it, and where the command is typed: the agent's own copy is the right one.
// Opening a folder writes to it, so a copy is opened.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const folder = path.resolve(process.argv[2]);
const library = [folder, process.cwd()]
  .map((start) => {
    try {
      return createRequire(path.join(start, 'x.js'))('@electric-sql/pglite');
    } catch {
      return undefined;
    }
  })
  .find(Boolean);
if (!library) {
  console.error('@electric-sql/pglite is not installed here; run this in the folder of the agent');
  process.exit(3);
}

// What an uncaught error prints is the line of the library it came from: half a megabyte of it.
const failed = (error) => {
  console.error(`error: ${String(error?.message ?? error).split('\n')[0].slice(0, 300)}`);
  process.exitCode = 1;
};
const opened = async (place) => {
  try {
    return await library.PGlite.create(place);
  } catch (error) {
    const theirs = fs.readFileSync(path.join(place, 'PG_VERSION'), 'utf8').trim();
    const empty = await library.PGlite.create();
    const ours = (await empty.query('SHOW server_version')).rows[0].server_version.split('.')[0];
    await empty.close();
    throw theirs === ours ? error : new Error(`versions ${theirs} ${ours}`);
  }
};
const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'reasoning-pglite-'));
try {
  fs.cpSync(folder, copy, { recursive: true });
  fs.rmSync(path.join(copy, 'postmaster.pid'), { force: true });
  const database = await opened(copy);
  const names = await database.query(
    "SELECT attname FROM pg_attribute WHERE attrelid = 'logs'::regclass AND attnum > 0");
  const spelt = (one, other) => `logs."${names.rows.some((row) => row.attname === one) ? one : other}"`;
  const at = spelt('created_at', 'createdAt');
  const columns = `logs.id::text AS id, ${at}::text AS created_at, ${spelt('entity_id', 'entityId')}::text AS entity_id,
    ${spelt('room_id', 'roomId')}::text AS room_id, type, body::text AS body`;
  const wanted = "type LIKE 'useModel:%' AND type NOT IN ('useModel:TEXT_EMBEDDING', 'useModel:IMAGE')";
  await database.query("SET TIME ZONE 'UTC'");
  let rows;
  let last;
  do {
    const behind = last ? `AND (${at}, logs.id) > ($1, $2)` : '';
    const query = `SELECT ${columns} FROM logs WHERE ${wanted} ${behind} ORDER BY ${at}, logs.id LIMIT 200`;
    ({ rows } = await database.query(query, last ? [last.created_at, last.id] : []));
    for (const row of rows) fs.writeSync(1, `${JSON.stringify({ ...row, body: JSON.parse(row.body) })}\n`);
    last = rows.at(-1);
  } while (rows.length);
  await database.close();
} catch (error) {
  failed(error);
} finally {
  fs.rmSync(copy, { recursive: true, force: true });
}
process.exit(); // a database that did not open keeps the process waiting
