import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Aws, type Login, openAws, REGION } from '../sandbox/world.ts';
import { runToEnd } from './debian.ts';

/** Where Debian's package puts it; another `aws` may stand earlier in the path. */
const AWS = '/usr/bin/aws';

/** Words of the text, split at spaces; each value is one word, as JSON unless it is a text. */
function wordsOf(texts: readonly string[], values: readonly unknown[]): string[] {
  const words: string[] = [];
  let open = false;
  const add = (part: string) => {
    if (open) words.push(`${words.pop() ?? ''}${part}`);
    else words.push(part);
    open = true;
  };
  texts.forEach((text, i) => {
    text.split(/(\s+)/).forEach((part) => {
      if (/^\s+$/.test(part)) open = false;
      else if (part !== '') add(part);
    });
    if (i < values.length) add(typeof values[i] === 'string' ? values[i] : JSON.stringify(values[i]));
  });
  return words;
}

/**
 * Debian's `aws` for one login, in the region of the tests.
 *
 * `` aws`ec2 describe-volumes --volume-ids ${id} --query Volumes[0].State` `` is what the command prints, read as JSON;
 * `` refused`…` `` is how it fails: exit status and error code.
 */
export function commandOf(endpoint: string, login: Login, home: string) {
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: home,
    AWS_ACCESS_KEY_ID: login.accessKeyId,
    AWS_SECRET_ACCESS_KEY: login.secretAccessKey,
    ...(login.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: login.sessionToken }),
    AWS_DEFAULT_REGION: REGION,
    AWS_DEFAULT_OUTPUT: 'json',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  };
  const run = (texts: TemplateStringsArray, values: unknown[]) =>
    runToEnd(AWS, ['--endpoint-url', endpoint, ...wordsOf(texts, values)], env);

  const aws = async (texts: TemplateStringsArray, ...values: unknown[]): Promise<unknown> => {
    const { status, stdout, stderr } = await run(texts, values);
    if (status !== 0) throw new Error(`aws ${texts.join('…')}: ${status} ${stderr.trim()}`);
    return stdout === '' ? null : (JSON.parse(stdout) as unknown);
  };
  const refused = async (texts: TemplateStringsArray, ...values: unknown[]): Promise<string> => {
    const { status, stderr } = await run(texts, values);
    return `${status} ${/An error occurred \(([\w.]+)\)/.exec(stderr)?.[1] ?? stderr.trim()}`;
  };
  return { aws, refused };
}

/** An account in a sandbox of its own, driven by Debian's `aws`. */
export async function openCli(atEnd: (world: Aws) => Promise<void>) {
  const world = await openAws();
  const dir = mkdtempSync(join(tmpdir(), 'aws-cli-'));
  // The last to be registered is the first to run: the sandbox still answers.
  onTestFinished(async () => {
    await atEnd(world);
    rmSync(dir, { recursive: true, force: true });
  });
  const as = (login: Login) => commandOf(world.endpoint, login, dir);
  return { ...as(world.owner), as, world, dir, file: (name: string) => join(dir, name) };
}

export type Cli = Awaited<ReturnType<typeof openCli>>;
