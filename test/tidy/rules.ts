import { dirname, join, normalize } from 'node:path';

/** One source file: its path from the project's root, and its text. */
export type Source = { path: string; text: string };

/** Who may import whom, by folder below `src`. `regions` stands beside `src`. A folder may always import itself. */
const ARROWS: Record<string, readonly string[]> = {
  regions: [],
  core: ['regions'],
  contract: ['core'],
  crypto: ['core'],
  vault: ['core', 'crypto'],
  aws: ['core', 'crypto', 'regions', 'vault'],
  tls: ['core', 'crypto'],
  cell: ['aws', 'contract', 'core', 'crypto', 'regions', 'tls', 'vault'],
  router: ['contract', 'core', 'regions'],
  cli: ['aws', 'contract', 'core', 'regions', 'vault'],
  sandbox: ['core'],
  stranger: [],
  local: ['aws', 'contract', 'core', 'crypto', 'regions', 'stranger', 'tls'],
};

/** Narrower than the arrows: this part of a folder may import only these of another. */
const NARROW: readonly { from: RegExp; to: RegExp; only: RegExp; why: string }[] = [
  {
    from: /^src\/router\//,
    to: /^src\/contract\//,
    only: /^src\/contract\/problems\.ts$/,
    why: 'the router carries no zod',
  },
  {
    from: /^src\/cell\/(api|services)\//,
    to: /^src\/aws\//,
    only: /^src\/aws\/policies\//,
    why: 'the API tier touches no AWS',
  },
  {
    from: /^src\/local\//,
    to: /^src\/aws\//,
    only: /^src\/aws\/policies\//,
    why: 'an operator has documents, not our clients',
  },
  {
    from: /^src\/cell\/(api|services)\//,
    to: /^src\/(vault|cell\/jobs)\//,
    only: /^$/,
    why: 'the API tier only enqueues',
  },
];

/** Texts that may stand only in some files. */
const TEXTS: readonly { text: RegExp; except: RegExp; why: string }[] = [
  {
    text: /\bDate\.now\(|\bnew Date\(\)/,
    except: /^src\/core\/clock\.ts$|^test\//,
    why: 'time comes from a Clock',
  },
  { text: /\bMath\.random\(/, except: /^test\//, why: 'randomness comes from crypto' },
  {
    text: /\bprocess\.env\b/,
    except: /^(src\/[a-z]+\/(config|main|bootstrap|recover)\.ts|src\/local\/.*|test\/.*|[^/]+\.config\.ts)$/,
    why: 'the environment is read in config.ts',
  },
  {
    text: /(from|import\() ?['"]@aws-sdk\//,
    except: /^(src\/aws|src\/stranger|test)\//,
    why: 'only src/aws and the stranger know an AWS SDK',
  },
  {
    text: /amazonaws\.com/,
    except: /^(regions|src\/sandbox|src\/stranger|test)\//,
    why: 'hosts are built from regions/',
  },
  {
    text: /\b(await|return) fetch\(|= fetch\(|\bprocess\./,
    except: /^(?!src\/(vault|crypto)\/)/,
    why: 'the engine knows no network or process',
  },
  { text: /\b(TODO|FIXME|XXX)\b/, except: /^test\/tidy/, why: 'what is left belongs in an issue' },
  { text: /:\s*any\b|\bas any\b|@ts-(ignore|expect-error)/, except: /^test\/tidy/, why: 'no escape from the types' },
  {
    text: /^export default\b/m,
    except: /^(src\/router\/worker\.ts|[^/]+\.config\.ts|test\/)/,
    why: 'exports have names',
  },
  { text: /^export \* from\b/m, except: /^$/, why: 'no barrels' },
];

const LINES_MAX = 400;

function folderOf(path: string): string | null {
  const match = /^(?:src\/)?([a-z]+)\//.exec(path);
  return match?.[1] && (path.startsWith('src/') || path.startsWith('regions/')) ? match[1] : null;
}

/** The project's own files that a file imports, as paths from the root. */
export function importsOf({ path, text }: Source): string[] {
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\(?)\s*['"](\.[^'"]+)['"]/g)].map((match) => match[1] ?? '');
  return specifiers.map((specifier) => normalize(join(dirname(path), specifier)));
}

function arrowViolations(source: Source): string[] {
  const from = folderOf(source.path);
  if (from === null) return [];
  const allowed = ARROWS[from];
  if (!allowed) return [`${source.path}: the folder ${from} is not in the house plan`];
  return importsOf(source).flatMap((target) => {
    const to = folderOf(target);
    if (to === null)
      return target.startsWith('test/') ? [`${source.path} imports ${target}: the product imports no test`] : [];
    if (to !== from && !allowed.includes(to)) return [`${source.path} imports ${target}: ${from} may not import ${to}`];
    return NARROW.filter((rule) => rule.from.test(source.path) && rule.to.test(target) && !rule.only.test(target)).map(
      (rule) => `${source.path} imports ${target}: ${rule.why}`,
    );
  });
}

function textViolations({ path, text }: Source): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|(^|[^:])\/\/.*$/gm, '$1');
  const found = TEXTS.filter(
    (rule) => !rule.except.test(path) && rule.text.test(rule.why.startsWith('what is left') ? text : code),
  );
  const long =
    text.split('\n').length - 1 > LINES_MAX && !path.startsWith('test/')
      ? [`${path}: longer than ${LINES_MAX} lines`]
      : [];
  return [...found.map((rule) => `${path}: ${rule.why}`), ...long];
}

/** Import cycles, each named once by its files in order. */
function cycles(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]));
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (path: string, trail: string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      found.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
      return;
    }
    state.set(path, 'open');
    for (const target of graph.get(path) ?? []) if (graph.has(target)) visit(target, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

/** Everything in which these files break the rules of the house. */
export function violations(sources: readonly Source[]): string[] {
  return [...sources.flatMap((source) => [...arrowViolations(source), ...textViolations(source)]), ...cycles(sources)];
}
