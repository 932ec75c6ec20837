import { Fault, type FaultCode, toFault } from './faults.ts';

/** One end of a line between two threads: what a `MessagePort`, a `Worker` and a `parentPort` have in common. */
export type Port = {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
};

/** What one end answers: functions of one value each. Values are cloned on their way, so they are data. */
export type Calls = Record<string, (input: never) => unknown>;

type SentFault = Pick<Fault, 'message' | 'facts' | 'violations'> & { code: FaultCode };
type Message =
  | { kind: 'call'; id: number; name: string; input: unknown }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'fault'; id: number; fault: SentFault };

const lost = () => new Fault('unavailable', 'A thread of the worker tier ended in the middle of its work.');

/**
 * Calls functions at the other end of a line, and answers those of the other end with `mine`. What is thrown there is
 * thrown here as a Fault of the same code. Messages of one end arrive in the order in which they were sent.
 *
 * @throws (each call) Fault `unavailable` when the other end is gone
 */
export function connectPort<Theirs extends Calls>(port: Port, mine: Calls) {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (fault: Fault) => void }>();
  let last = 0;
  let open = true;

  async function answer({ id, name, input }: { id: number; name: string; input: unknown }): Promise<void> {
    try {
      const work = mine[name];
      if (!work) throw new Fault('internal', `The other thread asked for ${name}, which nobody does.`);
      port.postMessage({ kind: 'answer', id, value: await work(input as never) } satisfies Message);
    } catch (error) {
      const { code, message, facts, violations } = toFault(error);
      port.postMessage({ kind: 'fault', id, fault: { code, message, facts, violations } } satisfies Message);
    }
  }
  port.on('message', (received) => {
    const message = received as Message;
    if (message.kind === 'call') return void answer(message);
    const caller = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.kind === 'answer') return caller?.resolve(message.value);
    const { code, message: text, ...rest } = message.fault;
    caller?.reject(new Fault(code, text, rest));
  });
  port.on('close', () => {
    open = false;
    for (const { reject } of waiting.values()) reject(lost());
    waiting.clear();
  });

  return function call<Name extends keyof Theirs & string>(
    name: Name,
    input: Parameters<Theirs[Name]>[0],
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (!open) return Promise.reject(lost());
    return new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve: resolve as (value: unknown) => void, reject });
      port.postMessage({ kind: 'call', id: last, name, input } satisfies Message);
    });
  };
}
