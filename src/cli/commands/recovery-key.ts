import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Answer } from '../api-client.ts';
import { EXIT } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { readRecoveryKeyFile } from '../recovery-key-file.ts';
import type { Session } from '../session.ts';
import { formatTime } from '../table.ts';

const HOW = `
A pair is made, and its private half kept where this service cannot reach it, by
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out recovery-key.pem
  openssl pkey -in recovery-key.pem -pubout -out recovery-key.pub.pem`;

const line = ({ fingerprint, since }: Answer<'GET /v1/tenant/recovery-key'>) =>
  `${fingerprint}  since ${formatTime(since)}`;

/** The tenant's own recovery key: who holds its private half reads the vault without the service. */
export function addRecoveryKey(program: CommandUnknownOpts, session: Session): void {
  const command = program.command('recovery-key').description("The tenant's own recovery key.");
  command
    .command('set <file>')
    .description(
      'Seal what is backed up from now on for this public key too (PEM, RSA of 3,072 to 8,192 bits): who holds the private key reads it from a copy of the bucket, with nobody’s help.',
    )
    .addHelpText('after', HOW)
    .action(async (file) => {
      const { publicKey, fingerprint } = readRecoveryKeyFile(resolve(session.folder, file));
      const kept = await session.api().call('PUT /v1/tenant/recovery-key', { body: { publicKey } });
      if (kept.fingerprint !== fingerprint)
        throw new Failure(EXIT.rejected, 'The service keeps another key than the one that was sent', {
          detail: `sent ${fingerprint}, kept ${kept.fingerprint}`,
        });
      session.show(kept, () => [line(kept)]);
      session.hint(
        'Backups before now are not sealed for it, and later ones of the same volumes build on them: see docs/cli.md.',
      );
    });
  command
    .command('show')
    .description('Show the fingerprint: SHA-256 of the public key in DER.')
    .addHelpText('after', '\nThe same by openssl pkey -pubin -in recovery-key.pub.pem -outform DER | sha256sum')
    .action(async () => {
      const kept = await session.api().call('GET /v1/tenant/recovery-key');
      session.show(kept, () => [line(kept)]);
    });
  command
    .command('remove')
    .description('Seal backups for it no more. Those that were stay readable with it.')
    .action(async () => {
      await session.api().call('DELETE /v1/tenant/recovery-key');
      session.show({ removed: true }, () => ['removed']);
    });
}
