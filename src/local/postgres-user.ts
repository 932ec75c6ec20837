import { execFileSync, type SpawnOptions } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const NOBODY = 65_534;

/** How to run PostgreSQL, which refuses to be root: the command line to use, spawn options, and where data may lie. */
export type PostgresUser = {
  command(program: string, args: readonly string[]): [string, string[]];
  options: Pick<SpawnOptions, 'uid' | 'gid'>;
  dataDir(wanted: string): string;
  note: string | null;
};

const SAME: PostgresUser = {
  command: (program, args) => [program, [...args]],
  options: {},
  dataDir: (dir) => dir,
  note: null,
};

/** A user namespace in which root is uid 1000: no account is made, and data below root's own home can be reached. */
const NAMESPACE: PostgresUser = {
  ...SAME,
  command: (program, args) => ['unshare', ['-U', '--map-user=1000', '--map-group=1000', program, ...args]],
};

function hasUserNamespaces(): boolean {
  try {
    execFileSync('unshare', ['-U', '--map-user=1000', '--map-group=1000', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The last resort: the unprivileged uid of `nobody`, with data where that uid can reach it. */
function nobody(): PostgresUser {
  const dataDir = (wanted: string) => {
    const dir = join(
      tmpdir(),
      `domicile-${basename(dirname(wanted))}-${Buffer.from(wanted).toString('hex').slice(-24)}`,
    );
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chownSync(dir, NOBODY, NOBODY);
    return dir;
  };
  const note =
    'User namespaces are refused here: PostgreSQL runs as uid 65534 and keeps its data in the temporary folder.';
  return { ...SAME, options: { uid: NOBODY, gid: NOBODY }, dataDir, note };
}

/** Who PostgreSQL runs as on this machine. */
export function postgresUser(): PostgresUser {
  if (process.getuid?.() !== 0) return SAME;
  return hasUserNamespaces() ? NAMESPACE : nobody();
}
