/** What the exit code of a command means; docs/cli.md promises these to scripts. */
export const EXIT = {
  ok: 0,
  /** The job ended FAILED, PARTIAL, ABORTED or EXPIRED, a dry run found something, or what a vault holds cannot be read. */
  jobFailed: 1,
  usage: 2,
  /** Not logged in, or the key is refused (401, 403, 421). */
  notAllowed: 3,
  notFound: 4,
  /** The request is invalid, or conflicts with the current state (other 4xx). */
  rejected: 5,
  /** The service cannot be reached or cannot answer now (429, 5xx). */
  unreachable: 6,
  /** The AWS account refuses (424), or a verified connection is not CONNECTED. */
  awsAccount: 7,
  interrupted: 130,
} as const;

/** The exit code for an HTTP status that is no success. */
export function exitCodeOf(status: number): number {
  if (status === 401 || status === 403 || status === 421) return EXIT.notAllowed;
  if (status === 404) return EXIT.notFound;
  if (status === 424) return EXIT.awsAccount;
  if (status === 429 || status >= 500 || status < 400) return EXIT.unreachable;
  return EXIT.rejected;
}
