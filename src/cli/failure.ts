import type { z } from 'zod';
import type { problemSchema } from '../contract/common.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';

export type Problem = z.output<typeof problemSchema>;

type FailureParts = {
  /** What happened, beyond the title. */
  detail?: string | undefined;
  /** What the user can do now. A command in it begins with `domicile`; it is shown as the user calls us. */
  next?: string | undefined;
  status?: number;
  code?: string;
  requestId?: string | undefined;
  errors?: Problem['errors'];
  facts?: Problem['facts'];
  /** Is the same request worth another attempt at once? */
  transient?: boolean;
};

/** Ends a command: a title and more for the user, and an exit code for scripts. */
export class Failure extends Error {
  readonly exitCode: number;
  readonly parts: FailureParts;

  constructor(exitCode: number, title: string, parts: FailureParts = {}) {
    super(title);
    this.name = 'Failure';
    this.exitCode = exitCode;
    this.parts = parts;
  }
}

export function usageError(title: string, next?: string): Failure {
  return new Failure(EXIT.usage, title, { next });
}

const NEXT: Record<number, string> = {
  [EXIT.notAllowed]: 'Log in with a valid key: domicile login --url <url> --api-key-stdin',
  [EXIT.awsAccount]: 'Correct the role or key in the AWS account, then: domicile connections verify <id> --wait',
};

function nextStep(problem: Problem): string | undefined {
  const cellUrl = problem.facts?.['url'];
  if (problem.status === 421 && typeof cellUrl === 'string') return `Log in there: domicile login --url ${cellUrl}`;
  if (problem.status === 403) return 'Use a key that may do this: operator commands need an operator key.';
  if (problem.retry === 'now') return 'Try again.';
  if (problem.status >= 429 && problem.retry === 'later') return 'Try again later.';
  return NEXT[exitCodeOf(problem.status)];
}

/** A problem of the API (RFC 9457) as the end of a command. */
export function failureOf(problem: Problem, requestId: string | undefined): Failure {
  const { status, code, title, detail, errors, facts, retry } = problem;
  return new Failure(exitCodeOf(status), title, {
    detail,
    next: nextStep(problem),
    status,
    code,
    requestId,
    errors,
    facts,
    transient: retry === 'now',
  });
}

/** The lines that a person reads on standard error. */
export function failureLines({ message, parts }: Failure, invocation: string): string[] {
  const facts = Object.entries(parts.facts ?? {}).map(([name, value]) => `  ${name}: ${[value].flat().join(', ')}`);
  const ids = [parts.code && `code ${parts.code}`, parts.requestId && `request ${parts.requestId}`].filter(Boolean);
  return [
    `Error: ${message}${parts.status ? ` (${parts.status})` : ''}`,
    ...(parts.detail ? [`  ${parts.detail}`] : []),
    ...(parts.errors ?? []).map(({ pointer, detail }) => `  ${pointer}: ${detail}`),
    ...facts,
    ...(ids.length > 0 ? [`  ${ids.join(', ')}`] : []),
    ...(parts.next ? [`Next: ${parts.next.replaceAll(/\bdomicile (?=[a-z])/g, `${invocation} `)}`] : []),
  ];
}

/** The same for `--json`. */
export function failureDocument({ exitCode, message, parts }: Failure): object {
  const { transient: _, ...rest } = parts;
  return { error: { exitCode, title: message, ...rest } };
}
