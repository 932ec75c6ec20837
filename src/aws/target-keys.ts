import { DescribeKeyCommand, GenerateDataKeyWithoutPlaintextCommand, type KMSClient } from '@aws-sdk/client-kms';
import { awsErrorName, toAwsFault } from './faults.ts';

/**
 * Why a customer's key cannot encrypt what a restore makes, or null. KMS takes dry runs (`DryRun`), so that nothing is
 * made. Source: KMS API reference, GenerateDataKeyWithoutPlaintext.
 */
export async function keyProblem(kms: KMSClient, awsRegion: string, keyArn: string): Promise<string | null> {
  try {
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: keyArn }));
    if (KeyMetadata?.KeyState !== 'Enabled') return `${keyArn} is ${KeyMetadata?.KeyState ?? 'unknown'}`;
    await kms.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, KeySpec: 'AES_256', DryRun: true }));
    return null;
  } catch (error) {
    if (awsErrorName(error) === 'DryRunOperationException') return null;
    const fault = toAwsFault(error, `use ${keyArn}`, awsRegion);
    if (fault.retry === 'now') throw fault;
    return fault.message;
  }
}
