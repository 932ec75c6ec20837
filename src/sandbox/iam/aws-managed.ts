import type { ManagedPolicy } from '../accounts/store.ts';

const whole = (Effect: 'Allow' | 'Deny') =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect, Action: '*', Resource: '*' }] });

/** The policies of AWS's own that are offered. Source: AWS managed policy reference. */
const DOCUMENTS: Record<string, string> = { AdministratorAccess: whole('Allow'), AWSDenyAll: whole('Deny') };

/** A policy `arn:aws:iam::aws:policy/…`, in any partition, or undefined. */
export function awsManagedPolicy(arn: string): ManagedPolicy | undefined {
  const name = /^arn:aws(?:-[a-z]+)*:iam::aws:policy\/(.+)$/.exec(arn)?.[1] ?? '';
  const document = Object.hasOwn(DOCUMENTS, name) ? DOCUMENTS[name] : undefined;
  return document === undefined
    ? undefined
    : { name, id: 'ANPAAWSMANAGED', arn, document, createdAt: '2015-02-06T18:39:46.000Z' };
}
