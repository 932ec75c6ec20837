import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, decide, type Selection } from '../../src/cell/selection/decide.ts';
import { type Expression, type Facts, weigh } from '../../src/cell/selection/expression.ts';
import { obstaclesOf } from '../../src/cell/selection/obstacles.ts';
import { matchesWildcard } from '../../src/cell/selection/wildcard.ts';

const instance = (change: Partial<Candidate> = {}): Candidate => ({
  connectionId: 'con_1',
  instanceId: 'i-1',
  awsRegion: 'eu-central-1',
  vpcId: 'vpc-1',
  state: 'running',
  tags: { env: 'prod', team: 'a' },
  volumes: [
    { volumeId: 'vol-1', deviceName: '/dev/xvda', tags: {} },
    { volumeId: 'vol-2', deviceName: '/dev/sdf', tags: { purpose: 'scratch' } },
  ],
  configuration: { rootDeviceName: '/dev/xvda' },
  ...change,
});
const selection = (change: Partial<Selection> = {}): Selection => ({
  id: 'sel_1',
  connectionId: 'con_1',
  match: null,
  tags: [],
  instanceIds: [],
  excludeInstanceIds: [],
  excludeVolumeIds: [],
  excludeVolumes: [],
  ...change,
});
const ofAll = (match: Expression) => selection({ connectionId: null, match });
const tag = (key: string, value: string) => ({ key, value });

describe('a pattern', () => {
  /** The same by trying every way in which a star can be read. */
  function naive(pattern: string, text: string): boolean {
    if (pattern === '') return text === '';
    if (pattern.startsWith('*')) return naive(pattern.slice(1), text) || (text !== '' && naive(pattern, text.slice(1)));
    const literal = /^\\[\\*]/.test(pattern) ? pattern.slice(1) : pattern;
    return text !== '' && literal[0] === text[0] && naive(literal.slice(1), text.slice(1));
  }
  const letters = (alphabet: string[]) => fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 9 });

  test('says of every text what trying every reading of its stars says', () => {
    fc.assert(
      fc.property(letters(['a', 'b', '*', '\\']), letters(['a', 'b', '*', '\\']), (pattern, text) => {
        expect(matchesWildcard(pattern, text)).toBe(naive(pattern, text));
      }),
      {
        numRuns: 2000,
        examples: [
          ['*a*', 'a'],
          ['a*a', 'a'],
          ['\\*', '*'],
          ['\\*', 'a'],
          ['**', ''],
        ],
      },
    );
  });

  test('with many stars is answered at once', () => {
    const started = performance.now();
    expect(matchesWildcard('*a'.repeat(128), `${'a'.repeat(20_000)}b`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('an expression', () => {
  const someOf = (...names: string[]) => fc.subarray(names, { minLength: 1 });
  const facts: fc.Arbitrary<Facts> = fc.record({
    connectionId: fc.constantFrom('con_1', 'con_2'),
    instanceId: fc.constantFrom('i-1', 'i-2'),
    awsRegion: fc.constantFrom('eu-central-1', 'eu-west-1'),
    vpcId: fc.constantFrom('vpc-1', 'vpc-2', null),
    tags: fc.dictionary(fc.constantFrom('env', 'team'), fc.constantFrom('prod', 'test')),
  });
  const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
    expression: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      fc.record({
        tag: fc.record(
          { key: fc.constantFrom('env', 'team', '*'), value: fc.constantFrom('prod', 't*', '*') },
          { requiredKeys: ['key'] },
        ),
      }),
      fc.record({ instanceIds: someOf('i-1', 'i-2') }),
      fc.record({ vpcIds: someOf('vpc-1', 'vpc-2') }),
      fc.record({ awsRegions: someOf('eu-central-1', 'eu-west-1') }),
      fc.record({ connectionIds: someOf('con_1', 'con_2') }),
      fc.record({ not: tie('expression') }),
      fc.record({ and: fc.array(tie('expression'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ or: fc.array(tie('expression'), { minLength: 1, maxLength: 3 }) }),
    ),
  }));

  /** The same without a word of explanation. */
  function naive(node: Expression, of: Facts): boolean {
    if (node.not) return !naive(node.not, of);
    if (node.and) return node.and.reduce((all, child) => naive(child, of) && all, true);
    if (node.or) return node.or.reduce((any, child) => naive(child, of) || any, false);
    if (node.instanceIds) return new Set(node.instanceIds).has(of.instanceId);
    if (node.vpcIds) return of.vpcId !== null && new Set(node.vpcIds).has(of.vpcId);
    if (node.awsRegions) return new Set(node.awsRegions).has(of.awsRegion);
    if (node.connectionIds) return new Set(node.connectionIds).has(of.connectionId);
    const like = (pattern: string) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
    const { key = '', value = '*' } = node.tag ?? {};
    return Object.keys(of.tags).some((name) => like(key).test(name) && like(value).test(of.tags[name] ?? ''));
  }
  const at = (node: Expression, pointer: string): unknown =>
    pointer
      .split('/')
      .slice(2)
      .reduce<unknown>((part, step) => (part as Record<string, unknown>)[step], node);
  const truth = (node: Expression, of: Facts) => weigh(node, of, { pointer: '/match', wish: true });

  test('comes out as a plain reading of it does', () => {
    fc.assert(
      fc.property(expression, facts, (node, of) => {
        expect(truth(node, of).holds).toBe(naive(node, of));
      }),
      { numRuns: 2000 },
    );
  });

  test('gives at least one reason, each of which points at a question in it that decided', () => {
    fc.assert(
      fc.property(expression, facts, (node, of) => {
        const { holds, because } = truth(node, of);
        expect(because.length).toBeGreaterThan(0);
        for (const { pointer, detail } of because) {
          const leaf = at(node, pointer) as Expression;
          expect(leaf.and ?? leaf.or ?? leaf.not).toBeUndefined();
          // A reason that a wish was not met says what was wished; one that it was met does not.
          expect(detail.includes(', wanted ')).toBe(!holds);
          const negations = pointer.split('/').filter((step) => step === 'not').length;
          expect(naive(leaf, of)).toBe(holds === (negations % 2 === 0));
        }
      }),
    );
  });

  test('is turned round by a not around it, for the same reasons', () => {
    fc.assert(
      fc.property(expression, facts, (node, of) => {
        const [plain, negated] = [truth(node, of), truth({ not: node }, of)];
        expect(negated.holds).toBe(!plain.holds);
        const leaves = (pointers: { pointer: string }[]) => pointers.map(({ pointer }) => pointer);
        expect(leaves(negated.because)).toEqual(
          leaves(plain.because).map((pointer) => pointer.replace('/match', '/match/not')),
        );
      }),
    );
  });

  test.each<[string, Expression, string[]]>([
    ['another value', { tag: tag('env', 'test') }, ['tag env is "prod", wanted "test"']],
    ['a pattern', { tag: tag('env', 'test-*') }, ['tag env is "prod", wanted like "test-*"']],
    ['a missing tag', { tag: { key: 'owner' } }, ['tag owner is missing, wanted any value']],
    ['a tag that may not be', { not: { tag: { key: 'team' } } }, ['tag team is "a", wanted no such tag']],
    ['a value that may not be', { not: { tag: tag('env', 'p*') } }, ['tag env is "prod", wanted not like "p*"']],
    ['two VPCs', { vpcIds: ['vpc-2', 'vpc-3'] }, ['VPC is vpc-1, wanted vpc-2 or vpc-3']],
    ['many ids', { instanceIds: ['i-2', 'i-3', 'i-4', 'i-5'] }, ['instance is i-1, wanted one of 4 that are named']],
    [
      'only those of several that failed',
      { and: [{ tag: tag('env', 'prod') }, { awsRegions: ['eu-west-1'] }, { not: { instanceIds: ['i-1'] } }] },
      ['region is eu-central-1, wanted eu-west-1', 'instance is i-1, wanted not i-1'],
    ],
  ])('says in words why not: %s', (_name, node, details) => {
    expect(truth(node, instance())).toMatchObject({ holds: false, because: details.map((detail) => ({ detail })) });
  });
});

describe('the selections of a plan', () => {
  const all = [
    instance(),
    instance({ instanceId: 'i-2', tags: { env: 'prod' } }),
    instance({ instanceId: 'i-3', tags: {} }),
    instance({ instanceId: 'i-5', connectionId: 'con_2' }),
  ];
  const ids = (...selections: Selection[]) =>
    all.filter((one) => decide(selections, one).selected).map(({ instanceId }) => instanceId);

  test.each<[string, Selection[], string[]]>([
    ['nothing given chooses every instance of the connection', [selection()], ['i-1', 'i-2', 'i-3']],
    ['a tag chooses those that have it', [selection({ tags: [tag('env', 'prod')] })], ['i-1', 'i-2']],
    ['a tag may be a pattern', [selection({ tags: [tag('env', 'p*d')] })], ['i-1', 'i-2']],
    ['all tags must match', [selection({ tags: [tag('env', 'prod'), tag('team', 'a')] })], ['i-1']],
    [
      'named ones are chosen beside the tagged',
      [selection({ tags: [tag('team', 'a')], instanceIds: ['i-3'] })],
      ['i-1', 'i-3'],
    ],
    ['only named ones', [selection({ instanceIds: ['i-2'] })], ['i-2']],
    ['an exclusion wins', [selection({ excludeInstanceIds: ['i-2'] })], ['i-1', 'i-3']],
    [
      'an exclusion wins over another selection too',
      [selection({ excludeInstanceIds: ['i-2'] }), selection({ instanceIds: ['i-2'] })],
      ['i-1', 'i-3'],
    ],
    [
      'an exclusion is of its own connection',
      [selection({ excludeInstanceIds: ['i-5'] }), ofAll({ instanceIds: ['i-5'] })],
      ['i-1', 'i-2', 'i-3', 'i-5'],
    ],
    ['an expression reaches over connections', [ofAll({ tag: tag('env', 'prod') })], ['i-1', 'i-2', 'i-5']],
    [
      'an expression keeps to a connection that is given',
      [selection({ match: { not: { tag: tag('env', 'prod') } } })],
      ['i-3'],
    ],
    ['no selection chooses nothing', [], []],
  ])('%s', (_name, selections, expected) => {
    expect(ids(...selections)).toEqual(expected);
  });

  test('say in one line which of them decided', () => {
    const prod = ofAll({ tag: tag('env', 'prod') });
    const test = { ...selection({ tags: [tag('env', 'test')] }), id: 'sel_2' };
    expect(decide([prod, test], instance()).why).toBe('selected by sel_1: tag env is "prod"');
    expect(decide([test], instance()).why).toBe('sel_2: tag env is "prod", wanted "test"');
    expect(decide([test], instance({ connectionId: 'con_2' })).why).toBe('sel_2: connection is con_2, wanted con_1');
    expect(decide([prod, { ...test, excludeInstanceIds: ['i-1'] }], instance()).why).toBe(
      'excluded by sel_2: instance i-1 is excluded',
    );
    expect(decide([], instance()).why).toBe('the plan has no selection');
  });

  test('leave out volumes by id, device, tag and being the root, each with the first rule that says so', () => {
    const out = (change: Partial<Selection>) =>
      decide([selection(change)], instance()).excludedVolumes.map(({ volumeId, pointer, detail }) => [
        volumeId,
        pointer,
        detail,
      ]);
    expect(out({ excludeVolumeIds: ['vol-9', 'vol-2'] })).toEqual([
      ['vol-2', '/excludeVolumeIds/1', 'volume vol-2 is named'],
    ]);
    expect(out({ excludeVolumes: [{ deviceName: '/dev/sd*' }, { tag: { key: 'purpose' } }] })).toEqual([
      ['vol-2', '/excludeVolumes/0', 'device is /dev/sdf, like /dev/sd*'],
    ]);
    expect(out({ excludeVolumes: [{ tag: tag('purpose', 'scr*') }] })).toEqual([
      ['vol-2', '/excludeVolumes/0', 'tag purpose is "scratch"'],
    ]);
    expect(out({ excludeVolumes: [{ root: true }] })).toEqual([
      ['vol-1', '/excludeVolumes/0', '/dev/xvda is the root volume'],
    ]);
  });

  test('leave out what any choosing one excludes, and nothing for one that does not choose', () => {
    const choosing = [
      selection({ excludeVolumeIds: ['vol-1'] }),
      selection({ instanceIds: ['i-7'], excludeVolumeIds: ['vol-2'] }),
    ];
    expect(decide(choosing, instance()).excludedVolumes.map(({ volumeId }) => volumeId)).toEqual(['vol-1']);
  });

  test('choose nothing where each volume is excluded', () => {
    const rules = { excludeVolumes: [{ deviceName: '*' }] };
    expect(decide([selection(rules)], instance())).toMatchObject({
      selected: false,
      why: 'selected, but each of its volumes is excluded',
    });
    expect(decide([selection(rules)], instance({ volumes: [] })).selected).toBe(true); // none is known yet
  });
});

describe("an instance's obstacles", () => {
  const link = {
    id: 'con_1',
    state: 'CONNECTED',
    stateDetail: null,
    tag: tag('backup', 'yes'),
    vpcIds: ['vpc-1'],
  };
  test.each([
    ['running', link, []],
    ['stopped', link, []],
    ['terminated', link, ['i-1 is terminated']],
    ['shutting-down', link, ['i-1 is shutting-down']],
    ['gone', link, ["EC2 no longer lists i-1 within the connection's limits (tag backup=yes, VPC vpc-1)"]],
    ['running', { ...link, state: 'DISCONNECTED', stateDetail: 'gone' }, ['connection con_1 is DISCONNECTED: gone']],
  ])('%s: %#', (state, connection, details) => {
    expect(obstaclesOf({ instanceId: 'i-1', state }, connection).map(({ detail }) => detail)).toEqual(details);
  });
});
