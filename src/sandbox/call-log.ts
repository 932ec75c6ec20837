/** One call as the sandbox saw it. */
export type Call = {
  seq: number;
  time: string;
  accountId: string;
  callerArn: string;
  service: string;
  awsRegion: string;
  operation: string;
  status: number;
  errorCode?: string;
};

const RECENT_MAX = 20_000;

/** Every call, counted by who, where and what; the newest also one by one. Memory does not grow with their number. */
export function createCallLog() {
  const recent: Call[] = [];
  const counts = new Map<string, Omit<Call, 'seq' | 'time' | 'errorCode'> & { count: number }>();
  let seq = 0;
  return {
    add(call: Omit<Call, 'seq'>): void {
      seq += 1;
      recent.push({ seq, ...call });
      if (recent.length > 2 * RECENT_MAX) recent.splice(0, RECENT_MAX);
      const { accountId, callerArn, service, awsRegion, operation, status } = call;
      // Sessions differ by their name's end only: counting them apart would grow without bound.
      const caller = callerArn.replace(/(:assumed-role\/[^/]+)\/.*$/, '$1/*');
      const id = [caller, accountId, service, awsRegion, operation, status].join('|');
      const known = counts.get(id);
      if (known) known.count += 1;
      else counts.set(id, { accountId, callerArn: caller, service, awsRegion, operation, status, count: 1 });
    },
    since: (after: number) => ({ items: recent.filter((call) => call.seq > after), next: seq }),
    summary: () => [...counts.values()],
  };
}

export type CallLog = ReturnType<typeof createCallLog>;
