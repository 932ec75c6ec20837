import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  begin,
  DEFAULT_LIMITS,
  delayMs,
  end,
  newWindow,
  type Outcome,
  type Window,
} from '../../src/aws/lean/window.ts';

/** Runs requests of one length against a limit per second, as a service that throttles would; counts by outcome. */
function run(window: Window, load: { fromMs: number; seconds: number; latencyMs: number; allowedPerSec: number }) {
  const until = load.fromMs + load.seconds * 1_000;
  const under: { endsAtMs: number; outcome: Outcome }[] = [];
  const counts = { ok: 0, throttled: 0, failed: 0 };
  let tokens = load.allowedPerSec;
  for (let nowMs = load.fromMs; nowMs < until; nowMs += 1) {
    tokens = Math.min(load.allowedPerSec, tokens + load.allowedPerSec / 1_000);
    while (under[0] && under[0].endsAtMs <= nowMs) end(window, under.shift()?.outcome ?? 'ok', nowMs);
    while (delayMs(window, nowMs) === 0) {
      const outcome = tokens >= 1 ? 'ok' : 'throttled';
      if (outcome === 'ok') tokens -= 1;
      counts[outcome] += 1;
      begin(window, nowMs);
      under.push({ endsAtMs: nowMs + load.latencyMs, outcome });
    }
  }
  return counts;
}

describe('a window', () => {
  test('begins no more than its target each second, however fast the answers', () => {
    const { ok } = run(newWindow(), { fromMs: 0, seconds: 10, latencyMs: 5, allowedPerSec: 10_000 });
    expect(ok).toBeGreaterThan(7_900);
    expect(ok).toBeLessThanOrEqual(8_030);
  });

  test('grows to its ceiling where answers are slow, and no further', () => {
    const window = newWindow();
    run(window, { fromMs: 0, seconds: 60, latencyMs: 200, allowedPerSec: 10_000 });
    expect(window.size).toBe(DEFAULT_LIMITS.ceiling);
  });

  test('settles near a lower limit of AWS, and few requests are refused', () => {
    const window = newWindow();
    run(window, { fromMs: 0, seconds: 20, latencyMs: 30, allowedPerSec: 200 });
    const settled = run(window, { fromMs: 30_000, seconds: 60, latencyMs: 30, allowedPerSec: 200 });
    expect(settled.ok / 60).toBeGreaterThan(120);
    expect(settled.throttled / settled.ok).toBeLessThan(0.1);
  });

  test('is back at its target when the limit is gone', () => {
    const window = newWindow();
    run(window, { fromMs: 0, seconds: 20, latencyMs: 30, allowedPerSec: 100 });
    expect(window.perSec).toBeLessThan(300);
    run(window, { fromMs: 30_000, seconds: 30, latencyMs: 30, allowedPerSec: 10_000 });
    expect(window.perSec).toBe(DEFAULT_LIMITS.targetPerSec);
  });

  test('halves once for the many refusals of one overload', () => {
    const window = newWindow();
    for (let i = 0; i < 64; i += 1) begin(window, 0);
    for (let i = 0; i < 64; i += 1) end(window, 'throttled', 10 + i);
    expect(window).toMatchObject({ size: 32, perSec: 400, running: 0 });
  });

  test('learns nothing from requests that failed for another reason', () => {
    const window = newWindow();
    begin(window, 0);
    end(window, 'failed', 10);
    expect(window).toMatchObject({ size: DEFAULT_LIMITS.start, perSec: DEFAULT_LIMITS.targetPerSec });
  });

  test('stays inside its limits, whatever happens', () => {
    const step = fc.record({ ms: fc.nat(2_000), outcome: fc.constantFrom<Outcome>('ok', 'throttled', 'failed') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const window = newWindow();
        let nowMs = 0;
        for (const { ms, outcome } of steps) {
          nowMs += ms;
          if (delayMs(window, nowMs) === 0) begin(window, nowMs);
          if (window.running > 0 && ms % 2 === 0) end(window, outcome, nowMs);
          expect(window.size).toBeGreaterThanOrEqual(DEFAULT_LIMITS.floor);
          expect(window.size).toBeLessThanOrEqual(DEFAULT_LIMITS.ceiling);
          expect(window.perSec).toBeGreaterThan(0);
          expect(window.perSec).toBeLessThanOrEqual(DEFAULT_LIMITS.targetPerSec);
          expect(window.running).toBeLessThanOrEqual(DEFAULT_LIMITS.ceiling);
        }
      }),
      { seed: 7 },
    );
  });
});
