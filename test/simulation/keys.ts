import { Fault } from '../../src/core/faults.ts';
import { toHex } from '../../src/crypto/bytes.ts';
import type { Rewrap } from '../../src/vault/rotate.ts';
import {
  type KeyContext,
  type KeyOpener,
  type KeyRecipient,
  type KeyService,
  RECIPIENT,
} from '../../src/vault/ports.ts';
import type { Random } from './random.ts';

/**
 * A key service that makes its keys by a seed, under a master key of which there are generations. As strict as the real one: what it
 * wraps opens for its own context, under its own generation, while that is not retired. What it wraps is a ticket that says nothing:
 * only this service knows the key to it.
 */
export function createSeededKeys(random: Random) {
  const tickets = new Map<string, { key: Uint8Array; context: string; generation: number }>();
  let current = 0;
  let oldest = 0;
  const nameOf = ({ cell, tenant, volume, run, purpose }: KeyContext) =>
    JSON.stringify([cell, tenant, volume, run, purpose]);
  const recipientOf = (generation: number) => ({ kind: RECIPIENT.cell, name: `seeded-${generation}` });
  function wrap(key: Uint8Array, context: KeyContext, generation: number): Uint8Array {
    const wrapped = random.bytes(24);
    tickets.set(toHex(wrapped), { key, context: nameOf(context), generation });
    return wrapped;
  }
  async function unwrap(wrapped: Uint8Array, context: KeyContext): Promise<Uint8Array> {
    const ticket = tickets.get(toHex(wrapped));
    if (ticket?.context !== nameOf(context) || ticket.generation < oldest)
      throw new Fault('wrong_key', 'A stored key does not open for this tenant, volume and run.');
    return Uint8Array.from(ticket.key);
  }
  const openerOf = (generations: (name: string) => boolean): KeyOpener => ({
    opens: ({ kind, name }) => kind === RECIPIENT.cell && generations(name),
    unwrap,
  });
  const service: KeyService = {
    get recipient() {
      return recipientOf(current);
    },
    opens: ({ kind, name }) => kind === RECIPIENT.cell && name.startsWith('seeded-'),
    async generate(context) {
      const key = random.bytes(32);
      return { key: Uint8Array.from(key), wrapped: wrap(key, context, current) };
    },
    unwrap,
  };
  return {
    service,
    /** From now on keys are made under a new master key; what is needed to wrap the older ones anew. */
    renew(): Rewrap {
      current += 1;
      const generation = current;
      const { kind, name } = recipientOf(generation);
      const recipient: KeyRecipient = { kind, name, wrap: async (key, context) => wrap(key, context, generation) };
      return {
        from: openerOf((other) => other !== name),
        to: { recipient, opener: openerOf((other) => other === name) },
      };
    },
    /** Older master keys are destroyed: what is wrapped under one of them opens for nobody. */
    retireOlder(): void {
      oldest = current;
    },
  };
}

export type SeededKeys = ReturnType<typeof createSeededKeys>;
