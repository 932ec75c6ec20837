import { type CommandUnknownOpts, InvalidArgumentError } from '@commander-js/extra-typings';
import { isId } from '../../vault/layout.ts';

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
    .option('--dir <folder>', 'a copy of the bucket, or of the tenant’s prefix, as files')
    .option('--tenant <id>', 'the tenant, where the folder holds several')
    .option('--cell <code>', 'the cell that wrote the backups (default: as their keys say)')
    .option('--recovery-key <file>', 'open keys with the tenant’s own private key, PEM')
    .option('--passphrase-file <file>', 'the passphrase of the recovery key (default: asked for)')
    .option('--keys <file>', 'keys that were opened before (KEYS.json)');
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
