import { type CommandUnknownOpts, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { isId } from '../../vault/layout.ts';
import { positiveInteger } from './list-output.ts';

/**
 * The id of a volume or point, as it stands in names of objects.
 *
 * @throws InvalidArgumentError, which commander shows with the option's name
 */
export function objectId(text: string): string {
  if (!isId(text)) throw new InvalidArgumentError('It must be an id: letters, digits, _ and -.');
  return text;
}

/** Where the vault is and what opens its keys: options of every command that reads one. */
export function addVaultOptions<C extends CommandUnknownOpts>(command: C): C {
  command
    .option('--bucket <name>', 'the bucket, read with your AWS credentials')
    .option('--dir <folder>', 'or a copy of it, or of the tenant’s part, as files')
    .option('--tenant <id>', 'the tenant: its part of the bucket is t/<id>/')
    .option('--prefix <text>', 'where the tenant’s part lies, if it is elsewhere')
    .option('--cell <code>', 'the cell that wrote the backups (default: as the tenant or the keys say)')
    .option('--region <region>', 'AWS region of the bucket (default: the home region of the cell)')
    .option('--bucket-owner <id>', 'account of the bucket (default: that of your credentials)')
    .option('--recovery-key <file>', 'open keys with the tenant’s own private key, PEM (default: with AWS KMS)')
    .option('--passphrase-file <file>', 'the passphrase of the recovery key (default: asked for)')
    .option('--keys <file>', 'keys that were opened before (KEYS.json)');
  return command;
}

/** Where a tenant's keys are, for who may change them: a bucket, never a copy of it. */
export function addKeyAdminOptions<C extends CommandUnknownOpts>(command: C): C {
  command
    .requiredOption('--bucket <name>', 'the bucket; your AWS credentials must be the key admin’s')
    .requiredOption('--tenant <id>', 'the tenant: its part of the bucket is t/<id>/')
    .option('--cell <code>', 'the cell that wrote the backups (default: as the tenant says)')
    .option('--region <region>', 'AWS region of the bucket (default: the home region of the cell)')
    .option('--bucket-owner <id>', 'account of the bucket (default: that of your credentials)')
    .option('--dry-run', 'print the plan as JSON, and change nothing');
  return command;
}

/** The one point that a command is about. */
export function addPointOptions<C extends CommandUnknownOpts>(command: C): C {
  command
    .requiredOption('--volume <id>', 'the volume', objectId)
    .requiredOption('--point <id>', 'the point: the run that made it', objectId);
  return command;
}

export type PointOptions = { volume: string; point: string };

/** How many threads open blocks: each takes some 180 MiB. */
export const threadsOption = () =>
  new Option('--threads <n>', 'open blocks in so many threads (default: up to 4, by what there is to do)').argParser(
    positiveInteger,
  );
