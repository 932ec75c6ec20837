import { afterAll, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { createNthCall, Ended, type Mode, MODES, type Reach } from './nth-io.ts';
import type { Intercept } from './ports.ts';
import { createScene, type Scene } from './scene.ts';

/** Work that may go wrong at each of its calls, and how it is seen that it has come right in the end. */
type Pipeline = {
  name: string;
  before?: (scene: Scene) => Promise<void>;
  work: (scene: Scene, intercept: Intercept) => Promise<void>;
  /** Beyond that every point restores. */
  after?: (scene: Scene) => Promise<void>;
};

/** The source is away from its fifth block on. */
function dying(): Intercept {
  let blocks = 0;
  return (call) => {
    blocks += call.name === 'block fetch' ? 1 : 0;
    return blocks > 4 ? Promise.reject(call.failure()) : call.effect();
  };
}

const PIPELINES: readonly Pipeline[] = [
  { name: 'full', work: (scene, intercept) => scene.backUp(3, null, intercept) },
  { name: 'incremental', work: (scene, intercept) => scene.backUp(3, 2, intercept, 2) },
  {
    name: 'resumed',
    before: (scene) => scene.backUp(3, null, dying(), 2).catch(() => {}),
    work: (scene, intercept) => scene.backUp(3, null, intercept, 2),
  },
  { name: 'restore', work: (scene, intercept) => scene.restore(2, intercept) },
  {
    name: 'garbage collection',
    work: (scene, intercept) => scene.forget(intercept),
    async after(scene) {
      await scene.forget(scene.clean);
      expect([...scene.objects().keys()].filter((key) => key.includes('/roots/'))).toHaveLength(scene.points.size);
    },
  },
  {
    name: 'key rotation',
    work: (scene, intercept) => scene.rotate(intercept),
    after: async (scene) => scene.retire(),
  },
  { name: 'verification', work: (scene, intercept) => scene.verify(intercept) },
  {
    name: 'shredding',
    work: (scene, intercept) => scene.shred(intercept),
    async after(scene) {
      expect([...scene.objects().keys()].filter((key) => key.includes('/keys/'))).toEqual([]);
      scene.points.clear();
    },
  },
];

const covered: string[] = [];
afterAll(() => process.stdout.write(`${covered.join('\n')}\n`));

/** One run with its n-th call going wrong; then without faults, until all is well. False: the run made fewer calls. */
async function playOne(pipeline: Pipeline, limit: number, mode: Mode, reach: Reach): Promise<boolean> {
  const scene = await createScene();
  await pipeline.before?.(scene);
  const nth = createNthCall(limit, mode, reach);
  await Promise.race([pipeline.work(scene, nth.intercept), nth.ended]).catch((error: unknown) => {
    const isTold = isFault(error) || error instanceof Ended || /damage was found/.test(String(error));
    if (!isTold) throw error;
  });
  await pipeline.work(scene, scene.clean);
  await pipeline.after?.(scene);
  for (const point of scene.points) await scene.restore(point, scene.clean);
  return nth.wasMet();
}

test.each(PIPELINES)('$name: whichever call goes wrong, once or from then on, it comes right', async (pipeline) => {
  for (const mode of MODES) {
    for (const reach of mode === 'hang' ? (['once'] as const) : (['once', 'sticky'] as const)) {
      let limit = 1;
      while (await playOne(pipeline, limit, mode, reach)) limit += 1;
      expect(limit).toBeGreaterThan(3);
      covered.push(`${pipeline.name}, ${mode}, ${reach}: ${limit - 1} calls, each went wrong`);
    }
  }
});
